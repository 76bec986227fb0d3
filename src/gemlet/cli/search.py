"""`gemlet search`: a query → the passages of the index that match it."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import (
    NOTHING,
    echo,
    filter_of,
    filter_options,
    index_options,
    on_one_line,
    open_index,
    printable,
    shown_path,
    styled,
    task_of,
    task_options,
)

if TYPE_CHECKING:
    from gemlet.search import Hit, Results


EPILOG = """\b
Examples:
  gemlet search "what did we decide about prices"
  gemlet search --path "*.md" --after 2w "open questions" -k 3
  gemlet search --code "read a file line by line" --language python
  gemlet search --keyword read_document | cut -d: -f1,2
  gemlet search --like notes/plan.md
  gemlet search --json --explain "invoice from May"
\b
On a terminal each hit has its place, its title, how likely it is to answer, and
the sentence that matches. Piped, it is one line: path:line:sentence.
Exit codes: 0 something matches, 4 nothing does, 1 and 2 for errors.
"""


@click.command(epilog=EPILOG)
@click.argument("query", nargs=-1)
@click.option("-k", "--limit", default=10, show_default=True, type=click.IntRange(1), help="Hits at most.")
@click.option("--semantic", "mode", flag_value="semantic", help="By meaning alone.")
@click.option("--keyword", "mode", flag_value="keyword", help="By words alone; needs no model.")
@click.option("--exact", is_flag=True, help="Scan every vector of a large index, too.")
@task_options
@filter_options
@click.option("--like", metavar="FILE", help="Instead of a query: find what is like this file.")
@click.option(
    "--min",
    "least",
    type=click.FloatRange(0, 1),
    help="Least probability of a hit; 0 shows all.  [default: 0.03, of code 0.01]",
)
@click.option(
    "--per-file", default=1, show_default=True, type=click.IntRange(1), help="Passages of one document at most."
)
@click.option("--explain", is_flag=True, help="Say why each hit is where it is.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--lines/--pretty", "lines", default=None, help="One line a hit, or several.  [default: lines when piped]"
)
@index_options
def command(
    query: tuple[str, ...],
    limit: int,
    mode: str | None,
    exact: bool,
    named: str | None,
    task: str | None,
    like: str | None,
    least: float | None,
    per_file: int,
    explain: bool,
    as_json: bool,
    lines: bool | None,
    **rest: Any,
) -> None:
    """Find the passages that match QUERY, by meaning and by words, best first."""
    wanted = filter_of(*(rest.pop(name) for name in ("path_glob", "kinds", "languages", "after", "before")))
    from gemlet.search import search

    with open_index(**rest) as index:
        results = search(
            index,
            " ".join(query),
            k=limit,
            mode=mode or "hybrid",  # type: ignore[arg-type] # click gives a str
            exact=exact,
            task=task_of(named, task, "query"),
            wanted=wanted,
            like=like,
            min_probability=least,
            per_document=per_file,
            keep_model=False,
        )
    lines = not sys.stdout.isatty() if lines is None else lines
    if as_json:
        echo(_json(results, explain), errors="backslashreplace")
    elif lines:
        for hit in results.hits:
            begin, end = hit.marked
            echo(f"{shown_path(hit.path)}:{hit.line}:{on_one_line(hit.snippet[begin:end])}")
            if explain:
                click.echo("  " + " · ".join(_reasons(hit)), err=True)
    else:
        _print(results.hits, explain)
    if not results.hits:
        click.echo(f"gemlet: {_nothing(results)}", err=True)
        if not (as_json or lines):
            _print(results.nearest, explain)
        sys.exit(NOTHING)


def _print(hits: "list[Hit]", explain: bool) -> None:
    for number, hit in enumerate(hits):
        if number:
            echo()
        page = f" page {hit.page}" if hit.page is not None else f":{hit.line}"
        place = styled(shown_path(hit.path), fg="magenta") + styled(page, fg="green")
        chance = f"  {hit.probability:.0%}" if hit.probability is not None else ""
        title = f"  {on_one_line(hit.title)}" if hit.title else ""
        echo(f"{place}{chance}{styled(title, bold=True)}")
        more = len(hit.paths) - 1
        if more:
            echo(f"    also: {', '.join(map(shown_path, hit.paths[1:4]))}{f' and {more - 3} more' if more > 3 else ''}")
        for line in _snippet(hit):
            echo(f"    {line}")
        if explain:
            echo(styled("    " + " · ".join(_reasons(hit)), dim=True))


def _snippet(hit: "Hit") -> list[str]:
    """The snippet's lines with the matching sentence in bold; prose is one line, code keeps its own."""
    begin, end = hit.marked
    parts = (hit.snippet[:begin], hit.snippet[begin:end], hit.snippet[end:])
    if hit.kind == "code":
        before, marked, after = (printable(part.expandtabs(4)) for part in parts)
        return (before + styled(marked, bold=True) + after).rstrip().split("\n")
    before, marked, after = (on_one_line(part) for part in parts)
    return [" ".join(part for part in (before, styled(marked, bold=True), after) if part)]


def _reasons(hit: "Hit") -> list[str]:
    """Why a hit is where it is."""
    reasons = []
    if hit.probability is not None:
        reasons.append(f"probability {hit.probability:.3f}")
    if hit.cosine is not None:
        rank = f", number {hit.semantic_rank} by meaning" if hit.semantic_rank else ", found by its words"
        reasons.append(f"cosine {hit.cosine:.3f}{rank}")
    if hit.bm25:
        rank = f", number {hit.keyword_rank} by words" if hit.keyword_rank else ""
        reasons.append(f"BM25 {hit.bm25:.2f}{rank}")
    if hit.words:
        reasons.append(f"holds {', '.join(hit.words)}")
    return [*reasons, f"score {hit.score:.3f}"]


def _nothing(results: "Results") -> str:
    if not results.passages:
        return "the index is empty: fill it with `gemlet index FOLDER`"
    said = f"nothing matches well among {results.passages:,} passages"
    if not results.nearest:
        return said
    nearest = results.nearest[0]
    return f"{said}; the nearest is {shown_path(nearest.path)}:{nearest.line}".encode("utf-8", "replace").decode()


def _json(results: "Results", explain: bool) -> str:
    """One object; a byte of a path that is no UTF-8 is a lone surrogate, escaped, as Python's json reads it back."""
    value = {
        "query": results.query,
        "mode": results.mode,
        "task": results.task,
        "passages": results.passages,
        "hits": [_row(hit, explain) for hit in results.hits],
        "nearest": [_row(hit, explain) for hit in results.nearest],
    }
    return json.dumps(value, ensure_ascii=False)


def _row(hit: "Hit", explain: bool) -> dict[str, Any]:
    begin, end = hit.marked
    row = {
        "path": hit.path,
        "line": hit.line,
        "first_line": hit.first_line,
        "last_line": hit.last_line,
        "page": hit.page,
        "title": hit.title,
        "kind": hit.kind,
        "language": hit.language,
        "score": _rounded(hit.score),
        "probability": _rounded(hit.probability),
        "sentence": hit.snippet[begin:end],
        "snippet": hit.snippet,
        "marked": [begin, end],
        "text": hit.text,
    }
    if len(hit.paths) > 1:
        row["also"] = list(hit.paths[1:])
    if explain:
        row |= {
            "cosine": _rounded(hit.cosine),
            "semantic_rank": hit.semantic_rank,
            "bm25": _rounded(hit.bm25),
            "keyword_rank": hit.keyword_rank,
            "words": list(hit.words),
        }
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
