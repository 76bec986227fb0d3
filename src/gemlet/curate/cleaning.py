"""Rows → the rows that are worth training on, and why each other one goes.   (texts of rows, plan → Cleaned)

What costs least is asked first, and a row goes by the first reason found: quality, language, personal data, in an
evaluation set, the same as another row. Vectors are compared last, of what is left by then.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from gemlet.curate.contamination import RUN, EvaluationTexts
from gemlet.curate.personal import PersonalData
from gemlet.curate.quality import Quality, language_fault
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.pairs import Coded, code_texts, duplicates, nearest, normal_form
from gemlet.pairs.coded import Progress

Personal = Literal["keep", "drop", "mask"]
Row = Sequence[str | None]
"""The texts of a row, in the order of its columns; None: the row has none there, and need not."""

_PROMPT = "sentence similarity"


@dataclass(frozen=True)
class Plan:
    """What is looked for.

    quality    what a text must be
    languages  codes as "en"; empty: any
    personal   what happens to rows with personal data: "keep" looks for none, "mask" keeps the row without them
    countries  whose numbers are known; see PersonalData
    run        words in a row that a text may not share with an evaluation set
    near       rows at least so near to another one, or to an evaluation text, go: a cosine; None: no vectors
    """

    quality: Quality = field(default_factory=Quality)
    languages: Sequence[str] = ()
    personal: Personal = "keep"
    countries: Sequence[str] = ()
    run: int = RUN
    near: float | None = None

    def __post_init__(self) -> None:
        if self.personal not in get_args(Personal):
            raise InputError(f"personal is {self.personal!r}; available: {', '.join(get_args(Personal))}")
        if self.near is not None and not -1 <= self.near <= 1:
            raise InputError(f"near is {self.near}: a cosine lies between -1 and 1")


@dataclass(frozen=True)
class Gone:
    """A row that goes.

    reason  a word or two, the same for all rows that go for it
    detail  what was found
    column  which of the row's texts it is about; None: all of them
    row_of  the row that stays in its place; None: it is no duplicate
    text_of the evaluation text that it has; None: it has none
    """

    row: int
    reason: str
    detail: str = ""
    column: int | None = None
    row_of: int | None = None
    text_of: int | None = None


@dataclass(frozen=True)
class Cleaned:
    """kept    rows that stay, ascending
    texts   of every row, masked where that was wanted
    gone    rows that go, ascending
    masked  how many of each kind of personal data were masked in rows that stay
    """

    kept: list[int]
    texts: list[list[str | None]]
    gone: list[Gone]
    masked: dict[str, int]

    @property
    def reasons(self) -> dict[str, int]:
        """Reason → how many rows went for it, the commonest first."""
        return dict(Counter(one.reason for one in self.gone).most_common())


def clean(
    rows: Sequence[Row],
    plan: Plan | None = None,
    against: Sequence[str] = (),
    *,
    embedder: Embedder | None = None,
    threads: int | None = None,
    reading: Progress | None = None,
    embedding: Progress | None = None,
) -> Cleaned:
    """Sort rows into those that stay and those that go.

    against   the texts of evaluation sets
    embedder  needed for a plan with `near`

    Raises InputError, MissingExtra for what a plan needs, and what Embedder.encode() raises.
    """
    plan = plan or Plan()
    if plan.near is not None and embedder is None:
        raise InputError("rows that are near to each other are found by their vectors: pass an embedder")
    table = _Table(rows)
    masks: list[Counter[str]] = [Counter() for _ in rows]
    checks = _checks(plan, against, table, masks)
    for row in range(len(rows)):
        table.first_fault(row, checks)
        if reading:
            reading(row + 1, len(rows))
    if plan.near is not None and embedder is not None:
        _by_vectors(table, plan.near, against, embedder, threads, embedding)
    kept = table.kept
    masked = sum((masks[row] for row in kept), Counter[str]())
    return Cleaned(kept, table.texts, [table.gone[row] for row in sorted(table.gone)], dict(sorted(masked.items())))


Check = Callable[[int], Gone | None]


class _Table:
    """The rows, and which of them have gone."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.texts = [list(row) for row in rows]
        self.gone: dict[int, Gone] = {}

    @property
    def kept(self) -> list[int]:
        return [row for row in range(len(self.texts)) if row not in self.gone]

    def first_fault(self, row: int, checks: Sequence[Check]) -> None:
        for check in checks:
            found = check(row)
            if found:
                self.gone[row] = found
                return

    def there(self, row: int) -> list[tuple[int, str]]:
        """(column, text) of a row's texts."""
        return [(column, text) for column, text in enumerate(self.texts[row]) if text is not None]


def _checks(plan: Plan, against: Sequence[str], table: _Table, masks: list[Counter[str]]) -> list[Check]:
    """What needs no vectors, in order; each is asked of each row only if no one before had a reason."""
    checks = [_of_texts(table, plan.quality.fault)]
    if plan.languages:
        checks.append(_of_texts(table, language_fault(plan.languages)))
    if plan.personal != "keep":
        checks.append(_personal(table, PersonalData(plan.countries), plan.personal, masks))
    if against:
        checks.append(_contaminated(table, EvaluationTexts(against, plan.run)))
    return [*checks, _same(table)]


def _of_texts(table: _Table, fault: Callable[[str], tuple[str, str] | None]) -> Check:
    def check(row: int) -> Gone | None:
        for column, text in table.there(row):
            found = fault(text)
            if found:
                return Gone(row, *found, column=column)
        return None

    return check


def _personal(table: _Table, data: PersonalData, how: Personal, masks: list[Counter[str]]) -> Check:
    def check(row: int) -> Gone | None:
        for column, text in table.there(row):
            masked, spans = data.mask(text)
            if spans and how == "drop":
                kinds = ", ".join(dict.fromkeys(span.kind for span in spans))
                return Gone(row, "personal data", kinds, column=column)
            table.texts[row][column] = masked
            masks[row].update(span.kind for span in spans)
        return None

    return check


def _same(table: _Table) -> Check:
    first: dict[tuple[str, ...], int] = {}

    def check(row: int) -> Gone | None:
        key = tuple(normal_form(text or "").casefold() for text in table.texts[row])
        before = first.setdefault(key, row)
        return None if before == row else Gone(row, "the same as another row", row_of=before)

    return check


def _contaminated(table: _Table, known: EvaluationTexts) -> Check:
    def check(row: int) -> Gone | None:
        for column, text in table.there(row):
            found = known.find(text)
            if found:
                return Gone(row, "in an evaluation set", found.words, column=column, text_of=found.row)
        return None

    return check


def _by_vectors(
    table: _Table,
    near: float,
    against: Sequence[str],
    embedder: Embedder,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Let go of what is near to an evaluation text, then of what is near to a row before it."""

    def coded(texts: Sequence[str]) -> Coded:
        return code_texts(embedder, texts, prompt_name=_PROMPT, progress=progress)

    rows = table.kept
    if not rows:
        return
    whole = coded(["\n".join(text for _, text in table.there(row)) for row in rows])
    if against:
        places = [(row, column, text) for row in rows for column, text in table.there(row)]
        alone = len(places) == len(rows)
        vectors = whole if alone else coded([text for _, _, text in places])
        found = nearest(vectors, coded(against), threads=threads)
        for (row, column, _), other, score in zip(places, found.rows[:, 0], found.score[:, 0], strict=True):
            if score >= near and row not in table.gone:
                detail = f"cosine {score:.4f}"
                table.gone[row] = Gone(row, "nearly in an evaluation set", detail, column, text_of=int(other))
    left = np.array([at for at, row in enumerate(rows) if row not in table.gone], np.int64)
    groups = duplicates(whole.take(left), near, threads=threads)
    for at in groups.removed:
        row, keeper = rows[left[at]], rows[left[groups.keeper[at]]]
        table.gone[row] = Gone(row, "nearly another row", f"cosine {groups.score[at]:.4f}", row_of=keeper)
