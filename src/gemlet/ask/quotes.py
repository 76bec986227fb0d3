"""Sources → the sentences in them that answer best.   (without a model that writes)"""

from collections.abc import Sequence

import numpy as np

from gemlet.ask.sources import Source
from gemlet.search import Searchable
from gemlet.search.snippets import units

FROM = 3  # sources
SENTENCES = 60  # at most that are embedded: some 2,000 tokens, a second or less
LONGEST = 400  # characters of a quotation


def quotes(index: Searchable, question: str, sources: Sequence[Source], task: str) -> str:
    """The best sentence of each of the first sources, best first, one a line: “...” [1]."""
    found = [
        (source, text)
        for source in sources[:FROM]
        for text in _sentences(source)[: SENTENCES // min(FROM, len(sources))]
    ]
    embedder = index.embedder
    query = embedder.encode_query(question, prompt_name=task)
    rows = embedder.encode_document([text for _, text in found], titles=[source.hit.title for source, _ in found])
    cosines = (rows @ query).tolist()
    best: dict[int, tuple[float, str]] = {}
    for (source, text), cosine in zip(found, cosines, strict=True):
        best[source.number] = max(best.get(source.number, (-np.inf, "")), (cosine, text))
    order = sorted(best.items(), key=lambda item: -item[1][0])
    return "\n".join(f"“{_shortened(text)}” [{number}]" for number, (_, text) in order)


def _sentences(source: Source) -> list[str]:
    code = source.hit.kind == "code"
    spans = units(source.text, code)
    return [source.text[begin:end] for begin, end in spans if end - begin > 1] or [source.text]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[:LONGEST].rsplit(" ", 1)[0] + " …"
