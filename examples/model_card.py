"""The model card's example, with one import changed.

Prints the similarities of a query to four documents; the card says [0.3011, 0.6359, 0.4930, 0.4889]. In 8 bits, the
default, the third decimal differs; Embedder(..., quantization="f32") is within 0.001 of the card.
"""

import numpy as np

from gemlet import Embedder

CARD = [0.3011, 0.6359, 0.4930, 0.4889]
MOST = 0.005  # twice what 8 bits were measured to move one of these

model = Embedder("google/embeddinggemma-300m")

query = "Which planet is known as the Red Planet?"
documents = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]
query_embeddings = model.encode_query(query)
document_embeddings = model.encode_document(documents)
print(query_embeddings.shape, document_embeddings.shape)

similarities = model.similarity(query_embeddings, document_embeddings)
print(similarities)

difference = float(np.abs(similarities - CARD).max())
print(f"largest difference from the model card: {difference:.4f}, at most {MOST} expected in {model.quantization}")
raise SystemExit(difference > MOST)
