"""A run → its model card.   (Run → README.md)"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemlet.train.head import Fitted
from gemlet.train.rows import EACH, TrainingSet
from gemlet.train.settings import Settings

_ANY = ("query", "document")  # to show, of a model that learned with all its prompts


@dataclass(frozen=True)
class Story:
    """What there is to tell of a run.

    name, base      of the model and of the checkpoint it began with
    sets, held_out  what it learned from, what it was measured by
    steps           batches in all, of which `chosen` were made when the model was at its best
    before, after   the held-out rows' figures
    losses          means over the first and over the last tenth of the steps
    learned         numbers that did
    fitted          the head, before anything learned
    """

    name: str
    base: str
    sets: Sequence[TrainingSet]
    held_out: TrainingSet | None
    settings: Settings
    prompts: Sequence[tuple[str, str]]
    steps: int
    chosen: int
    before: dict[str, float]
    after: dict[str, float]
    losses: tuple[float, float]
    learned: int
    fitted: Fitted | None


def card(story: Story) -> str:
    """The card in Markdown, with the front matter that the hub reads."""
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        f"base_model: {json.dumps(story.base, ensure_ascii=False)}",
        "license: gemma",
        "tags: [sentence-transformers, feature-extraction, embeddinggemma]",
        "---",
        "",
        f"# {story.name}",
        "",
        f"A fine-tune of {story.base}, made with `gemlet train`. The weights are under the Gemma Terms of Use.",
        "",
        "## Use",
        "",
        *_use(story),
        "",
        "## Rows",
        "",
        "| rows | kind | from | prompts |",
        "|---|---|---|---|",
        *(_row(one, prompts) for one, prompts in zip(story.sets, story.prompts, strict=True)),
        "",
        "## Training",
        "",
        *_training(story),
        "",
        *_figures(story),
        "## Settings",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {json.dumps(value)} |" for name, value in _flat(story.settings.as_dict())),
        "",
        "`curve.jsonl` has the loss of every step.",
        "",
    ]
    return "\n".join(lines)


def _use(story: Story) -> list[str]:
    query, document = (
        fallback if name == EACH else name for name, fallback in zip(story.prompts[0], _ANY, strict=True)
    )
    lines = [
        "```python",
        "from gemlet import Embedder  # or: from sentence_transformers import SentenceTransformer",
        "",
        f'model = Embedder("{story.name}")',
        f'left = model.encode(["..."], prompt_name="{query}")',
        f'right = model.encode(["..."], prompt_name="{document}")',
        "cosines = model.similarity(left, right)",
        "```",
    ]
    if qat := story.settings.qat:
        lines += [
            "",
            f"`gemlet quantize {story.name} {story.name}.gguf --type {qat}` makes the file of exactly these numbers.",
        ]
    return lines


def _row(one: TrainingSet, prompts: tuple[str, str]) -> str:
    kind = "triplets" if len(one.columns) > 2 else one.kind
    return f"| {len(one):,} | {kind} | {one.name} | {prompts[0]}, {prompts[1]} |"


def _training(story: Story) -> list[str]:
    settings = story.settings
    how = f"LoRA of rank {settings.rank}, merged" if settings.method == "lora" else "all parameters"
    if settings.method == "full" and not settings.train_table:
        how += " but the token embeddings"
    if settings.qat:
        how = f"the numbers of a file in {settings.qat}, and the norms"
    lines = [f"{story.steps:,} steps of {settings.batch} rows; {how}: {story.learned:,} numbers learned."]
    if story.fitted:
        texts, before, after = story.fitted
        lines.append(
            f"Before that the head's last matrix was fitted to {texts:,} of the texts: the cosine of texts that it was "
            f"not fitted to went from {before:.5f} to {after:.5f}."
        )
    if story.chosen != story.steps:
        lines.append(f"These are the weights of step {story.chosen:,}, the best on the held-out rows.")
    return [
        *lines,
        f"The loss went from {story.losses[0]:.4g} (first tenth of the steps) to {story.losses[1]:.4g} (last).",
    ]


def _figures(story: Story) -> list[str]:
    if story.held_out is None:
        return ["No rows were held out, so nothing says how good the model is: `gemlet eval` measures it.", ""]
    return [
        f"Of {story.held_out.name}, {len(story.held_out):,} held-out rows:",
        "",
        "| | before | after |",
        "|---|---|---|",
        *(f"| {name} | {value:.5f} | {story.after[name]:.5f} |" for name, value in story.before.items()),
        "",
    ]


def _flat(settings: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        found += list(value.items()) if isinstance(value, dict) else [(name, value)]
    return found
