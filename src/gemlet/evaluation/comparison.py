"""Figures of every setting → the base's with intervals, and each other one beside it.   (Outcome → Evaluation)"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gemlet.evaluation.advice import Verdict, judged
from gemlet.evaluation.embedding import Trial
from gemlet.evaluation.hardest import Hard
from gemlet.evaluation.resampling import Difference, Figure, Sampled, difference_of, figure_of
from gemlet.evaluation.settings import Setting

FEW = 30
"""Fewer rows give intervals that are too narrow."""


@dataclass(frozen=True)
class Outcome:
    """The figures of one setting, the first is the one to go by; and in what its weights ran."""

    figures: list[Sampled]
    quantization: str


@dataclass(frozen=True)
class Comparison:
    """Another setting beside the base.

    name         what differs: "dim=256"
    figures      its own
    differences  how much higher they are than the base's, in the same order
    verdict      what to make of the first of them
    """

    name: str
    setting: Setting
    figures: list[Figure]
    differences: list[Difference]
    verdict: Verdict


@dataclass(frozen=True)
class Evaluation:
    """What was measured, the figures, the comparisons, and the rows that went worst.

    kind  "retrieval", "pairs" or "labels"; what: how much data it was, in words
    """

    kind: str
    what: str
    setting: Setting
    figures: list[Figure]
    comparisons: list[Comparison]
    hardest: list[Hard]
    notes: list[str]

    def figure(self, name: str) -> Figure:
        """The base's figure of a name. Raises KeyError."""
        return {figure.name: figure for figure in self.figures}[name]

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON: what is NaN is None."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain


def evaluation_of(
    kind: str,
    what: str,
    trial: Trial,
    outcomes: Mapping[Setting, Outcome],
    hard: Sequence[Hard],
    notes: Sequence[str],
) -> Evaluation:
    """Resample everything."""
    base = outcomes[trial.base].figures
    size = base[0].size
    rows = "1 row" if size == 1 else f"{size} rows"
    few = f"the intervals are rough ones, of {rows}: {FEW} or more make them hold"
    return Evaluation(
        kind,
        what,
        replace(trial.base, quantization=outcomes[trial.base].quantization),
        [figure_of(one, trial.seed) for one in base],
        [_compared(trial, setting, base, outcomes[setting].figures) for setting in trial.settings[1:]],
        list(hard),
        [*notes, *([few] if size < FEW else [])],
    )


def _compared(trial: Trial, setting: Setting, base: list[Sampled], figures: list[Sampled]) -> Comparison:
    differences = [difference_of(*both, trial.seed) for both in zip(base, figures, strict=True)]
    verdict = judged(trial.base, setting, differences[0], base[0].size)
    own = [figure_of(one, trial.seed) for one in figures]
    return Comparison(setting.named(trial.base), setting, own, differences, verdict)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if value != value else value
