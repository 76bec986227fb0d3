"""How other programs ask for vectors: one file for each family of clients; request → the common one → answer.

openai.py  /v1/embeddings, /v1/models: OpenAI's SDKs and all that is built on them
ollama.py  /api/...: Ollama's
cohere.py  /v2/embed: Cohere's
tei.py     /embed, /rerank, ...: text-embeddings-inference's and Hugging Face's; every other path is in its manner
"""

from gemlet.server.dialects.cohere import COHERE
from gemlet.server.dialects.ollama import OLLAMA
from gemlet.server.dialects.openai import OPENAI
from gemlet.server.dialects.tei import TEI

DIALECTS = (OPENAI, OLLAMA, COHERE, TEI)
