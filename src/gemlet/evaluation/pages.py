"""A table → Markdown or an HTML page.   (Table → text)"""

import html
from collections.abc import Iterator, Sequence

from gemlet.evaluation.results import Configuration
from gemlet.evaluation.tables import Mean, Row, Table
from gemlet.evaluation.tasks import TASKS


def to_markdown(table: Table) -> str:
    """Sections: what settings lose, scores with the difference from the published, other models, what the data are."""
    lines = ["# Quality", "", _ABOUT, ""]
    for title, header, rows in _sections(table):
        lines += [f"## {title}", "", *_markdown(header, rows), ""]
    return "\n".join(lines)


def to_html(table: Table) -> str:
    """One page with the same tables; nothing is fetched."""
    parts = []
    for title, header, rows in _sections(table):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<h2>{html.escape(title)}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>")
    return _PAGE.format(about=html.escape(_ABOUT), tables="\n".join(parts))


_ABOUT = (
    "Scores times 100, each by the main figure of its task in MTEB, on local copies of the data; in brackets the "
    "difference from the score that is published for the checkpoint in full precision and 768 numbers."
)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Quality</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2em .7em; border-bottom: 1px solid #ccc; text-align: right; white-space: nowrap; }}
td:first-child, th:first-child {{ text-align: left; }}
</style>
<h1>Quality</h1>
<p>{about}</p>
{tables}
</html>
"""

Section = tuple[str, list[str], list[list[str]]]


def _sections(table: Table) -> Iterator[Section]:
    means = table.means()
    if means and len(table.settings) > 1:
        yield _losses(table, means)
    for dim in dict.fromkeys(setting.dim for setting in table.settings):
        settings = [setting for setting in table.settings if setting.dim == dim]
        header = ["task", "published", *(names_of(table.settings)[setting] for setting in settings)]
        rows = [_cells(row, settings) for row in table.rows if any(setting in row.scores for setting in settings)]
        yield f"Scores at {dim} numbers", header, rows + [_mean_cells(mean, settings) for mean in means]
    if table.rivals:
        yield _beside_rivals(table)
    yield (
        "The data",
        ["task", "kind", "split", "MTEB's data?", "what that rests on"],
        [
            [task.name, task.kind, task.split, _DATA[task.data], task.basis]
            for name in dict.fromkeys(row.task.name for row in table.rows)
            for task in [TASKS[name]]
        ],
    )


def _losses(table: Table, means: list[Mean]) -> Section:
    """How far the means of each setting are from those of the first."""
    first, *others = table.settings
    whole = means[-1]
    header = ["setting", "mean", "difference", *(f"{mean.name} ({mean.tasks})" for mean in means[:-1])]
    rows = [
        [_label(table, first), f"{whole.scores[first]:.2f}", "", *(f"{mean.scores[first]:.2f}" for mean in means[:-1])]
    ]
    for setting in others:
        differences = [mean.scores[setting] - mean.scores[first] for mean in (whole, *means[:-1])]
        rows.append(
            [_label(table, setting), f"{whole.scores[setting]:.2f}", *(f"{value:+.2f}" for value in differences)]
        )
    tasks = "1 task" if whole.tasks == 1 else f"{whole.tasks} tasks"
    return f"What a setting loses, over {tasks}", header, rows


def _beside_rivals(table: Table) -> Section:
    first = table.settings[0]
    rows = [
        [row.name, _number(row.scores.get(first)), *(_number(row.rivals[name]) for name in table.rivals)]
        for row in table.rows
        if any(value is not None for value in row.rivals.values())
    ]
    return "Beside other models", ["task", _label(table, first), *table.rivals], rows


_DATA = {"equal": "the same", "near": "nearly", "other": "no: not to be compared"}


def names_of(settings: Sequence[Configuration]) -> dict[Configuration, str]:
    """What each is called beside others of its dimension: the quantization, and the model where two have the same."""
    models: dict[str, set[str]] = {}
    for setting in settings:
        models.setdefault(setting.quantization, set()).add(setting.model)
    return {
        setting: setting.quantization
        if len(models[setting.quantization]) == 1
        else f"{setting.model} {setting.quantization}"
        for setting in settings
    }


def _label(table: Table, setting: Configuration) -> str:
    return f"{names_of(table.settings)[setting]}, {setting.dim}"


def _cells(row: Row, settings: Sequence[Configuration]) -> list[str]:
    mark = " *" if row.published is not None and row.comparable is None else ""
    return [row.name, _number(row.published) + mark, *(_beside(row.scores.get(s), row.comparable) for s in settings)]


def _mean_cells(mean: Mean, settings: Sequence[Configuration]) -> list[str]:
    """A mean; its difference is that of the tasks with a published score."""
    beside = f" of {mean.compared}" if mean.compared not in (0, mean.tasks) else ""
    cells = [f"mean of {mean.name} ({mean.tasks})", _number(mean.published) + beside]
    for setting in settings:
        difference = mean.differences.get(setting)
        cells.append(f"{mean.scores[setting]:.2f}" + (f" ({difference:+.2f})" if difference is not None else ""))
    return cells


def _beside(score: float | None, known: float | None) -> str:
    return _number(score) + (f" ({score - known:+.2f})" if score is not None and known is not None else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    align = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, align, *rows)]
