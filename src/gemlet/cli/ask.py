"""`gemlet ask`: a question → an answer from the index, with its sources."""

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
    writer_for,
    writer_options,
)

if TYPE_CHECKING:
    from gemlet.ask import Answer, Source


EPILOG = """\b
Examples:
  gemlet ask "when does the lease end?"
  gemlet ask --llm gemma3:4b "what did we decide about prices?"
  gemlet ask --llm ~/models/gemma-3-4b-it-Q4_K_M.gguf --path "contracts/" "who pays for repairs?"
  gemlet ask --llm-url http://127.0.0.1:8000 --json "who wrote the report?"
  gemlet ask --quote "when does the lease end?"
\b
The model that writes is, in this order: --llm FILE.gguf, run here (needs the
extra rag); the server at --llm-url; Ollama, llama-server or LM Studio, if one
runs on this machine. Without any the best sentences are quoted.
GEMLET_LLM, GEMLET_LLM_URL and GEMLET_LLM_KEY stand for the options.
Exit codes: 0 answered, 4 the index has no answer, 1 and 2 for errors.
"""


@click.command(epilog=EPILOG)
@click.argument("question", nargs=-1, required=True)
@click.option("-k", "--sources", default=6, show_default=True, type=click.IntRange(1), help="Passages to answer from.")
@click.option("--quote", is_flag=True, help="No model: quote the sentences that answer best.")
@click.option("--max-tokens", default=512, show_default=True, type=click.IntRange(1), help="Length of the answer.")
@click.option("--min", "least", type=click.FloatRange(0, 1), help="Least probability of a source.  [default: 0.03]")
@filter_options
@writer_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@index_options
def command(
    question: tuple[str, ...],
    sources: int,
    quote: bool,
    max_tokens: int,
    least: float | None,
    llm: str | None,
    llm_url: str | None,
    llm_remote: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Answer QUESTION from the index, and name the sources."""
    wanted = filter_of(*(rest.pop(name) for name in ("path_glob", "kinds", "languages", "after", "before")))
    from gemlet.ask import ask

    with open_index(**rest) as index:
        answer = ask(
            index,
            " ".join(question),
            writer=None if quote else lambda: writer_for(llm, llm_url, llm_remote),
            k=sources,
            wanted=wanted,
            min_probability=least,
            max_tokens=max_tokens,
        )
        for piece in answer:
            if not as_json:
                echo(printable(piece), end="")
                sys.stdout.flush()
    if as_json:
        echo(_json(answer), errors="backslashreplace")
    else:
        echo()
        _print_sources(answer)
    sys.exit(NOTHING if answer.refused else 0)


def _print_sources(answer: "Answer") -> None:
    """The sources that the answer names; when it names none, all that it was written from."""
    cited = [source for source in answer.sources if source.number in answer.cited]
    if answer.sources and not cited and not answer.refused:
        click.echo("gemlet: the answer names no source; it was written from these", err=True)
    shown = [] if answer.refused else cited or answer.sources
    if shown:
        echo()
    for source in shown:
        echo(f"[{source.number}] {_place(source)}")
    if answer.nearest is not None:
        near = answer.nearest
        echo(f"The nearest is {shown_path(near.path)}:{near.line}: {on_one_line(near.title or near.snippet)[:80]}")
    if answer.writer is None and answer.sources:
        click.echo("gemlet: quoted, as no model that writes was named or found; see `gemlet ask --help`", err=True)


def _place(source: "Source") -> str:
    hit = source.hit
    place = f" page {hit.page}" if hit.page is not None else f":{hit.first_line}-{hit.last_line}"
    title = f"  {on_one_line(hit.title)}" if hit.title else ""
    return f"{shown_path(hit.path)}{place}{title}"


def _json(answer: "Answer") -> str:
    rows = [
        {
            "number": source.number,
            "path": source.hit.path,
            "first_line": source.hit.first_line,
            "last_line": source.hit.last_line,
            "page": source.hit.page,
            "title": source.hit.title,
            "probability": None if source.hit.probability is None else round(source.hit.probability, 4),
            "text": source.text,
        }
        for source in answer.sources
    ]
    value = {
        "question": answer.question,
        "answer": answer.text,
        "refused": answer.refused,
        "written_by": answer.writer,
        "cited": answer.cited,
        "sources": rows,
    }
    return json.dumps(value, ensure_ascii=False)
