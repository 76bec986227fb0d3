"""What goes worst, so that somebody looks at it.   (data, what was found → Hard)"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemlet.evaluation.metrics import Ranked, Values
from gemlet.evaluation.own import Entry, Labelled, Pairs, Retrieval

SHOWN = 10
"""Rows of a report at most."""

_EACH = 3  # documents beside a query
_LONGEST = 160  # characters of a text


@dataclass(frozen=True)
class Hard:
    """A row that went wrong: where it stands, its text, what would be right, what was found, and how bad it is."""

    place: str
    text: str
    wanted: list[str]
    found: list[str]
    measure: str


def of_retrieval(data: Retrieval, ranked: Ranked, values: Values) -> list[Hard]:
    """The queries of lowest nDCG, with what is relevant and what came first."""
    worst = [row for row in np.argsort(values, kind="stable").tolist() if values[row] < 1][:SHOWN]
    return [_query(data, row, ranked[row].tolist(), float(values[row])) for row in worst]


def _query(data: Retrieval, row: int, ranked: list[int], value: float) -> Hard:
    query, grades = data.queries[row], data.grades[row]
    relevant = sorted((one for one, grade in grades.items() if grade > 0), key=lambda one: (-grades[one], one))
    places = {one: place for place, one in enumerate(ranked, 1)}
    wanted = [f"{_at(places.get(one), len(ranked))}: {_named(data.documents[one])}" for one in relevant[:_EACH]]
    first = [one for one in ranked if one >= 0 and grades.get(one, 0) <= 0]
    found = [f"at place {places[one]}: {_named(data.documents[one])}" for one in first[:_EACH]]
    return Hard(query.place or query.id, _short(query.text), wanted, found, f"nDCG {value:.2f}")


def of_pairs(data: Pairs, cosines: Values) -> list[Hard]:
    """The pairs whose place by cosine is farthest from their place by score."""
    said, found = _places(data.scores), _places(cosines)
    worst = np.argsort(-np.abs(said - found), kind="stable")[:SHOWN].tolist()
    return [
        Hard(
            data.places[row],
            _short(data.left[row]),
            [_short(data.right[row])],
            [f"{'more' if found[row] > said[row] else 'less'} alike than was said"],
            f"score {data.scores[row]:g}, cosine {cosines[row]:.2f}",
        )
        for row in worst
        if said[row] != found[row]
    ]


def of_labels(data: Labelled, held_out: Values, classes: Sequence[Any]) -> list[Hard]:
    """The texts whose label seems least probable, of those that were told wrong."""
    column = {label: place for place, label in enumerate(classes)}
    own = np.array([held_out[row, column[label]] for row, label in enumerate(data.labels)])
    rows = np.flatnonzero(~np.isnan(own))
    said = held_out.argmax(axis=1)
    wrong = [
        row for row in rows[np.argsort(own[rows], kind="stable")].tolist() if classes[said[row]] != data.labels[row]
    ]
    return [
        Hard(
            data.places[row],
            _short(data.texts[row]),
            [str(data.labels[row])],
            [str(classes[said[row]])],
            f"{100 * held_out[row].max():.0f}% sure",
        )
        for row in wrong[:SHOWN]
    ]


def _at(place: int | None, depth: int) -> str:
    return f"not among the first {depth}" if place is None else f"at place {place}"


def _named(document: Entry) -> str:
    return f"{document.id} · {_short(f'{document.title}: {document.text}' if document.title else document.text)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _places(values: Values) -> Values:
    """The share of rows that are lower, equal ones halved: 0 to 1."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(counts) - counts / 2) / len(values))[places.reshape(-1)])
