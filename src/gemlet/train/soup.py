"""Soups: several fine-tuned checkpoints → one, the mean of their weights.   (folders, dev metric → folder)

Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", arXiv 2203.05482: the uniform soup, and recipe 1, the greedy one. The model card's own
checkpoint is an unweighted average of checkpoints that were fine-tuned on different mixtures.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from gemlet.errors import InputError
from gemlet.train.averaging import Ingredients, Progress, whole_folder

NOTE = "soup.json"
"""What of the folder says how it was made."""

Method = Literal["uniform", "greedy"]
Score = Callable[[Path], float]
"""A checkpoint's folder → how good it is; higher is better."""


@dataclass(frozen=True)
class Tasted:
    """An ingredient: the name of its folder, and whether it is in the soup.

    score     its own on the dev set; None: there was none
    together  of the soup with it, if that was tried
    """

    folder: str
    taken: bool
    score: float | None = None
    together: float | None = None


@dataclass(frozen=True)
class Soup:
    """What was made.

    method       "uniform" or "greedy"
    ingredients  every folder, in the order in which they were tried
    score        of the soup on the dev set; None: there was none
    """

    method: Method
    ingredients: list[Tasted]
    score: float | None = None


def soup(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    method: Method = "uniform",
    score: Score | None = None,
    progress: Progress | None = None,
) -> Soup:
    """Average checkpoints and write the folder `output`, whole or not at all.

    method  "uniform": all of them; "greedy": the best, then in order of their scores each with which the soup is no
            worse than without
    score   needed for "greedy"; for "uniform" it only tells

    Raises InputError for less than two folders, for those that cannot be averaged, for an output that is there already
    or cannot be written, WeightsError and UnsupportedModel for a folder that is no checkpoint, and what `score` raises.
    """
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; available: {', '.join(get_args(Method))}")
    if len(folders) < 2:
        raise InputError(f"a soup takes two checkpoints or more, not {len(folders)}: name another folder")
    if method == "greedy" and score is None:
        raise InputError("a greedy soup is tasted on a dev set: pass one, or make a uniform soup")
    output = Path(output)
    ingredients = Ingredients(folders)
    taste = _tasting(score) if score else None
    with whole_folder(output) as kitchen:
        if method == "greedy" and taste:
            made = _greedy(ingredients, kitchen, taste, progress)
        else:
            made = _uniform(ingredients, kitchen, taste, progress)
        _serve(kitchen, made)
    return made


def _tasting(score: Score) -> Score:
    """The same, but for a figure that is none."""

    def taste(folder: Path) -> float:
        value = score(folder)
        if not math.isfinite(value):
            raise InputError(f"the dev set gives no figure for {folder.name} ({value}): its rows tell nothing apart")
        return value

    return taste


def _uniform(ingredients: Ingredients, kitchen: Path, score: Score | None, progress: Progress | None) -> Soup:
    everyone = range(len(ingredients.folders))
    ingredients.average(everyone, kitchen / "soup", progress)
    tasted = [Tasted(folder.name, True, score(folder) if score else None) for folder in ingredients.folders]
    return Soup("uniform", tasted, score(kitchen / "soup") if score else None)


def _greedy(ingredients: Ingredients, kitchen: Path, score: Score, progress: Progress | None) -> Soup:
    scores = [score(folder) for folder in ingredients.folders]
    order = sorted(range(len(scores)), key=lambda one: (-scores[one], one))
    chosen, best = order[:1], scores[order[0]]
    tasted = [Tasted(ingredients.folders[order[0]].name, True, best)]
    for one in order[1:]:
        trial = kitchen / "trial"
        ingredients.average(sorted([*chosen, one]), trial, progress)
        together = score(trial)
        taken = together >= best
        if taken:
            chosen, best = [*chosen, one], together
            shutil.rmtree(kitchen / "soup", ignore_errors=True)
            trial.rename(kitchen / "soup")
        else:
            shutil.rmtree(trial)
        tasted.append(Tasted(ingredients.folders[one].name, taken, scores[one], together))
    if len(chosen) == 1:
        ingredients.average(chosen, kitchen / "soup", progress)
    return Soup("greedy", tasted, best)


def _serve(kitchen: Path, made: Soup) -> None:
    """Bring the soup's files up into the folder that it was made in, and a note of what is in it."""
    folder = kitchen / "soup"
    for file in list(folder.iterdir()):
        file.rename(kitchen / file.name)
    folder.rmdir()
    (kitchen / NOTE).write_text(json.dumps(asdict(made), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
