"""Task names → the text that goes before a text.   (text → prompted text)

EmbeddingGemma was trained with a prompt on every text (model card, "Prompt Instructions"): queries carry
"task: {description} | query: ", documents "title: {title or none} | text: ".
"""

import re
from collections.abc import Mapping, Sequence

from gemlet.errors import DoublePromptWarning, InputError, UnknownPrompt, warn

# The card's use cases, by their task description; the 14 names of the checkpoint's own config come beside them.
CARD_PROMPTS = {
    name: f"task: {name} | query: "
    for name in (
        "search result",
        "question answering",
        "fact checking",
        "classification",
        "clustering",
        "sentence similarity",
        "code retrieval",
        "summarization",
    )
}

# The published config_sentence_transformers.json, for a file that another program wrote: it has no prompts.
PUBLISHED_PROMPTS = {
    "query": CARD_PROMPTS["search result"],
    "document": "title: none | text: ",
    "BitextMining": CARD_PROMPTS["search result"],
    "Clustering": CARD_PROMPTS["clustering"],
    "Classification": CARD_PROMPTS["classification"],
    "InstructionRetrieval": CARD_PROMPTS["code retrieval"],
    "MultilabelClassification": CARD_PROMPTS["classification"],
    "PairClassification": CARD_PROMPTS["sentence similarity"],
    "Reranking": CARD_PROMPTS["search result"],
    "Retrieval": CARD_PROMPTS["search result"],
    "Retrieval-query": CARD_PROMPTS["search result"],
    "Retrieval-document": "title: none | text: ",
    "STS": CARD_PROMPTS["sentence similarity"],
    "Summarization": CARD_PROMPTS["summarization"],
}

_PROMPTED = re.compile(r"(task: [^|\n]{1,40} \| query: |title: [^|\n]{1,200} \| text: )")


def find_prompt(prompts: Mapping[str, str], name: str) -> str:
    """Return the prompt called `name`; case, "-" and "_" do not matter unless two names differ by them alone.

    Raises UnknownPrompt, which lists the names.
    """
    if name in prompts:
        return prompts[name]
    for known, prompt in prompts.items():
        if _plain(known) == _plain(name):
            return prompt
    raise UnknownPrompt(name, list(prompts))


def document_prompts(titles: Sequence[str | None], count: int) -> list[str]:
    """Return one "title: ... | text: " for each of `count` documents; a missing or empty title is "none".

    Raises InputError when there are not `count` titles.
    """
    if len(titles) != count:
        raise InputError(f"there are {len(titles)} titles for {count} documents")
    return [f"title: {title or 'none'} | text: " for title in titles]


def apply_prompts(texts: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Put each prompt before its text; warn once when a text already begins with a prompt of this model."""
    for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        if prompt and (found := own_prompt(text)):
            warn(f"text {row} already begins with {found!r}: it now has two prompts", DoublePromptWarning)
            break
    return [prompt + text for text, prompt in zip(texts, prompts, strict=True)]


def own_prompt(text: str) -> str:
    """Return the prompt of this model that a text already begins with, or nothing."""
    found = _PROMPTED.match(text)
    return found[1] if found else ""


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", name).casefold()
