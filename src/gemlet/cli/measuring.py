"""What `eval` does with one's own data: files → figures on stdout, and a report."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import echo, on_one_line, styled
from gemlet.cli.options import load, locate
from gemlet.cli.pairing import bar

if TYPE_CHECKING:
    from gemlet.evaluation import Evaluation, Setting, Trial

SHOWN = 3  # of the rows that went worst, on a terminal or in a pipe
_WIDTH = 100  # characters of a text


def run_own(
    *,
    model: str,
    quantization: Any,
    dim: str | None,
    threads: int | None,
    offline: bool,
    device: str,
    compare: Sequence[str],
    report: str | None,
    as_json: bool,
    seed: int,
    **what: Any,
) -> None:
    """Measure, print, and write the report. Raises InputError and its kin, ModelError."""
    from gemlet.evaluation import Setting, Trial
    from gemlet.evaluation.report import check_report, write_report
    from gemlet.vectors import MATRYOSHKA_DIMS

    base = Setting(model, quantization, None if dim in (None, str(MATRYOSHKA_DIMS[0])) else int(dim or 0))
    others = [base.changed(text) for text in compare]
    if report:
        check_report(report)
    data = _read(**what)
    for name in dict.fromkeys(one.model for one in (base, *others)):
        locate(name, offline)  # before the first is measured, which takes its time

    def loaded(setting: "Setting") -> Any:
        return load(setting.model, setting.quantization, threads, offline, device)

    with bar("embedding", "text") as progress:
        found = _measured(data, Trial(base, others, seed, loaded, progress), **what)
    for note in found.notes:
        click.echo(f"gemlet: {note}", err=True)
    if report:
        write_report(found, report)
    if as_json:
        echo(json.dumps(found.to_dict(), ensure_ascii=False), errors="backslashreplace")
    else:
        _print(found)


def _read(
    *,
    queries: str | None,
    docs: str | None,
    qrels: str | None,
    pairs: str | None,
    columns: str | None,
    labels: str | None,
    label_column: str | None,
    text_column: str | None,
    skip_empty: bool,
    **_: Any,
) -> Any:
    from gemlet.evaluation import read_labelled, read_pairs, read_retrieval

    if pairs:
        return read_pairs(pairs, columns.split(",") if columns else None, skip_empty=skip_empty)
    if labels:
        return read_labelled(labels, text_column, label_column, skip_empty=skip_empty)
    assert queries
    assert docs
    assert qrels
    return read_retrieval(queries, docs, qrels, skip_empty=skip_empty)


def _measured(
    data: Any, trial: "Trial", *, pairs: str | None, labels: str | None, k: int | None, task: str | None, **_: Any
) -> "Evaluation":
    from gemlet.evaluation import evaluate_labels, evaluate_pairs, evaluate_retrieval

    if pairs:
        return evaluate_pairs(data, trial)
    if labels:
        return evaluate_labels(data, trial)
    return evaluate_retrieval(data, trial, k=k or 10, task=task or "query")


def _print(found: "Evaluation") -> None:
    from gemlet.evaluation.wording import (
        DIFFERENCE_HEAD,
        FIGURE_HEAD,
        HARDEST,
        advice,
        difference_rows,
        figure_rows,
    )

    echo(styled(found.what, bold=True))
    echo(str(found.setting))
    echo()
    _table(FIGURE_HEAD, figure_rows(found))
    for one in found.comparisons:
        echo()
        echo(styled(f"{on_one_line(one.name)}, compared", bold=True))
        _table(DIFFERENCE_HEAD, difference_rows(one))
    if found.comparisons:
        echo()
    for line in advice(found):
        echo(styled(on_one_line(line), bold=True))
    title, wanted, instead = HARDEST[found.kind]
    if found.hardest:
        echo()
        echo(styled(title, bold=True))
    for hard in found.hardest[:SHOWN]:
        echo(f"{_short(hard.text)}  ({hard.measure}; {hard.place})")
        for name, texts in ((wanted, hard.wanted), (instead, hard.found)):
            for text in texts:
                echo(f"    {name}: {_short(text)}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, the first on the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        echo("  ".join([row[0].ljust(widths[0]), *cells]))


def _short(text: str) -> str:
    line = on_one_line(text)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
