"""Names of labels → a head that has seen no example.   (labels → Linear)

What was tried, on some 80 intents (77 labels), moods of tweets (3) and of poems (4): texts with the prompts for
classification, similarity and queries; labels with these, as documents and without a prompt; the bare name and
sentences with it. Texts as classified held the best of each set. Labels as queries, in this sentence, were the best of
all three together: 90%, 62% and 62% right. `bench/heads.py` does it again on any rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from gemlet.classify.logistic import Linear
from gemlet.errors import InputError
from gemlet.texts import Texts

LABEL_PROMPT = "query"
SENTENCE = "This text is about {}."

SCALE = 20.0
"""What cosines are multiplied by: 10 was best for the moods of tweets, 30 for intents and for poems."""


class Encoder(Protocol):
    """As much of an Embedder as a head of labels needs."""

    def encode_query(self, sentences: Texts, /, *, prompt_name: str, truncate_dim: int | None) -> Any:
        """[n, dim] float32 of the texts, with a prompt."""


def check_labels(labels: Sequence[str], descriptions: Mapping[str, str] | None) -> list[str]:
    """The labels' names. Raises InputError for fewer than two, one twice, an empty one, or a description of none."""
    if isinstance(labels, str):
        raise InputError("the labels are a single str: pass a list of them")
    names = [str(label).strip() for label in labels]
    if len(names) < 2:
        raise InputError(f"there is only {len(names)} label: name two or more to choose from")
    if "" in names:
        raise InputError(f"label {names.index('') + 1} of {len(names)} is empty: name it, or leave it out")
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the label {twice[0]!r} is there twice: name each once")
    for name, description in (descriptions or {}).items():
        if name not in names:
            raise InputError(f"{name!r} is described, but no label; the labels are: {', '.join(names)}")
        if not description.strip():
            raise InputError(f"the description of {name!r} is empty: write one, or leave it out")
    return names


def zero_shot_head(embedder: Encoder, names: Sequence[str], descriptions: Mapping[str, str], dim: int | None) -> Linear:
    """Each label's vector is its weights: a description as it is, or the name in a sentence."""
    texts = [descriptions.get(name) or SENTENCE.format(name.replace("_", " ")) for name in names]
    vectors = embedder.encode_query(texts, prompt_name=LABEL_PROMPT, truncate_dim=dim)
    return Linear(vectors.T * np.float32(SCALE), np.zeros(len(names), np.float32))
