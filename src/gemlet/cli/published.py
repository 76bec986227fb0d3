"""`gemlet eval --data-dir`: published tasks on local data, and the tables of their results."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gemlet.cli.finding import echo
from gemlet.cli.options import load
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.evaluation.running import Chosen, PublishedTasks

F = TypeVar("F", bound=Callable[..., Any])

TABLES = (".md", ".html", ".png", ".svg")


def published_options(command: F) -> F:
    """Add --data-dir, --tasks, --results, --table, --list and --mteb."""
    for option in (
        click.option("--mteb", "mteb_names", multiple=True, metavar="NAME", help="Run a task or benchmark of mteb."),
        click.option("--list", "as_list", is_flag=True, help="Only tell each task's texts and tokens."),
        click.option("--table", type=click.Path(path_type=Path, dir_okay=False), help="Write .md, .html, .png, .svg."),
        click.option("--results", type=click.Path(path_type=Path, file_okay=False), help="Keeps scores and vectors."),
        click.option(
            "--tasks", multiple=True, metavar="NAME", help="A task, or NAME/PART; may be repeated.  [default: all]"
        ),
        click.option(
            "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="A folder for each published data set."
        ),
    ):
        command = option(command)
    return command


def run_published(
    *,
    data_dir: Path | None,
    tasks: Sequence[str],
    results: Path | None,
    table: Path | None,
    as_list: bool,
    mteb_names: Sequence[str],
    dims: Sequence[int],
    as_json: bool,
    **model: Any,
) -> None:
    """Run what is asked for, print each score as it comes, and write the table.

    dims   none: all numbers of a vector
    model  of cli.options.model_options and device_option
    """
    if results is None:
        raise click.UsageError("name a folder for scores and vectors with --results")
    if (tasks or as_list) and data_dir is None:
        raise click.UsageError("--tasks and --list are about local data: name their folder with --data-dir")
    if table is not None:
        _check_table(table)
    if mteb_names:
        _run_by_name(mteb_names, dims, results, as_json, model)
    if data_dir is not None:
        _run(data_dir, tasks, results, as_list, dims, as_json, model)
    if table is not None and not as_list:
        _write_table(table, results)
    elif data_dir is None and not mteb_names:
        raise click.UsageError("nothing to do: name data with --data-dir, a task with --mteb, or a file with --table")


def _run(
    data: Path, tasks: Sequence[str], results: Path, as_list: bool, dims: Sequence[int], as_json: bool, model: Any
) -> None:
    from tqdm import tqdm

    from gemlet.evaluation.published import keep_published, read_published
    from gemlet.evaluation.running import PublishedTasks
    from gemlet.evaluation.tasks import chosen, present

    named = chosen(tasks)
    present(data, named)
    published = read_published(data)
    embedder = load(**model)
    evaluation = PublishedTasks(data, results, embedder, model["model"])
    if as_list:
        _list(evaluation, named, as_json)
        return
    keep_published(results, published)
    missing = evaluation.missing(named)
    rows: list[dict[str, Any]] = []

    def done(task: Any, part: str, dim: int, scores: dict[str, Any]) -> None:
        score = 100 * scores["main_score"]
        known = published.score(task.name, task.split, [part]) if task.data != "other" else None
        rows.append(
            {"task": task.name, "part": part, "quantization": embedder.quantization, "dim": dim, "score": score}
            | {"published": known}
        )
        if not as_json:
            beside = "" if known is None else f"   published {known:6.2f} ({score - known:+.2f})"
            with tqdm.external_write_mode():
                echo(f"{task.name}{'' if part == 'default' else f', {part}'}, {dim}: {score:6.2f}{beside}")

    with tqdm(total=missing, unit="text", disable=None if missing else True) as bar:
        evaluation.vectors.progress = bar.update
        evaluation.run(named, dims or [evaluation.full], done)
    if as_json:
        echo(json.dumps(rows, ensure_ascii=False))


def _list(evaluation: "PublishedTasks", named: "Chosen", as_json: bool) -> None:
    costs = list(evaluation.costs(named))
    if as_json:
        rows = [
            {"task": c.task.name, "part": c.part, "texts": c.texts, "new": c.missing, "tokens": c.tokens} for c in costs
        ]
        echo(json.dumps(rows))
        return
    echo(f"vectors: {evaluation.vectors.folder}")
    echo(f"{'task':58}{'texts':>9}{'new':>9}{'tokens':>11}")
    for cost in costs:
        name = cost.task.name + ("" if cost.part == "default" else f"/{cost.part}")
        echo(f"{name:58}{cost.texts:9,}{cost.missing:9,}{cost.tokens:11,}")
    echo(f"{'all':58}{'':9}{sum(c.missing for c in costs):9,}{sum(c.tokens for c in costs):11,}")


def _run_by_name(names: Sequence[str], dims: Sequence[int], results: Path, as_json: bool, model: Any) -> None:
    from gemlet.evaluation.mteb_model import GemletModel
    from gemlet.evaluation.mteb_run import run_by_name

    embedder = load(**model)
    for dim in dims or [embedder.truncate_dim]:
        embedder.truncate_dim = dim
        for path in run_by_name(names, GemletModel(model["model"], embedder=embedder), results):
            echo(json.dumps(str(path)) if as_json else str(path))


def _check_table(path: Path) -> None:
    if path.suffix.lower() not in TABLES:
        raise InputError(f"cannot tell what to write from {str(path)!r}: name a {', '.join(TABLES)} file")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    if path.suffix.lower() in (".png", ".svg"):
        from gemlet.evaluation.chart import check_chart

        check_chart(path)


def _write_table(path: Path, results: Path) -> None:
    from gemlet.dataset import whole_file
    from gemlet.evaluation.pages import to_html, to_markdown
    from gemlet.evaluation.published import kept_published
    from gemlet.evaluation.results import read_results
    from gemlet.evaluation.tables import make_table

    table = make_table(read_results(results), kept_published(results))
    if path.suffix.lower() in (".png", ".svg"):
        from gemlet.evaluation.chart import draw_table

        draw_table(table, path)
        return
    text = to_markdown(table) if path.suffix.lower() == ".md" else to_html(table)
    with whole_file(str(path)) as file:
        file.write(text.encode())
