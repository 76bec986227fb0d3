"""What a map shows: points with their texts, and the groups that colour them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gemlet.errors import InputError
from gemlet.layout.colours import NOISE, PLAIN, colours
from gemlet.vectors import FloatArray

MOST_GROUPS = 500
"""More are no groups, but numbers or names, of which each row has its own."""


@dataclass(frozen=True)
class Grouping:
    """One way to colour the points.

    name     what the groups are: "cluster", or a label's column
    names    of the groups, the largest first
    of       for each point its group, an index into names
    unnamed  the group that belongs to no other, shown in grey without a name: noise
    plain    there is one group, and nothing to tell
    """

    name: str
    names: list[str]
    of: list[int]
    unnamed: int | None = None
    plain: bool = False

    @property
    def colours(self) -> list[str]:
        """Of the groups, "#rrggbb"."""
        if self.plain:
            return [PLAIN]
        shades = colours(len(self.names) - (self.unnamed is not None))
        if self.unnamed is not None:
            shades.insert(self.unnamed, NOISE)
        return shades


@dataclass(frozen=True)
class Chart:
    """A map, ready to be drawn.

    title      of the whole
    points     [n, 2] float32, 0 to 1
    texts      n, one for each point
    places     n, where each text stands; or none
    groupings  ways to colour the points, the first is shown first; none: all have one colour
    """

    title: str
    points: FloatArray
    texts: Sequence[str]
    places: Sequence[str] = ()
    groupings: Sequence[Grouping] = field(default=())

    @property
    def shown(self) -> Sequence[Grouping]:
        """The groupings, or one that colours all points alike."""
        return self.groupings or [Grouping("texts", ["all texts"], [0] * len(self.points), plain=True)]


def grouping_of(name: str, values: Sequence[str], unnamed: str | None = None) -> Grouping:
    """The grouping by a value of each point; `unnamed`: the value of those that belong nowhere, put last.

    Raises InputError for more than MOST_GROUPS values.
    """
    sizes = Counter(values)
    if len(sizes) > MOST_GROUPS:
        raise InputError(f"{name!r} has {len(sizes):,} different values: a map shows {MOST_GROUPS} groups at most")
    names = sorted(sizes, key=lambda value: (value == unnamed, -sizes[value], value))
    number = {value: i for i, value in enumerate(names)}
    return Grouping(name, names, [number[value] for value in values], None if unnamed is None else number.get(unnamed))
