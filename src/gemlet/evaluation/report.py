"""An Evaluation → one page, HTML or Markdown, that needs no other file.   (Evaluation → text → file)

Whatever comes from data is escaped: `<`, `>`, `&` and quotes in HTML, Markdown's own marks besides in Markdown, and
characters that would steer a display. The HTML page has no script; its policy allows its own style, by its hash, and no
address at all.
"""

import base64
import hashlib
import html
import os
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template

from gemlet.dataset import whole_file
from gemlet.errors import InputError
from gemlet.evaluation.comparison import Evaluation
from gemlet.evaluation.hardest import Hard
from gemlet.evaluation.resampling import Figure
from gemlet.evaluation.wording import (
    DIFFERENCE_HEAD,
    FIGURE_HEAD,
    HARDEST,
    TITLES,
    advice,
    difference_rows,
    figure_rows,
)

_KINDS = (".html", ".md")
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def check_report(path: str) -> None:
    """Raise InputError for a path that no report can be written to, before there is anything to lose."""
    if os.path.splitext(path)[1].lower() not in _KINDS:
        raise InputError(f"cannot tell what to write from {path!r}: name a {' or '.join(_KINDS)} file")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise InputError(f"cannot write {path}: there is no folder {os.path.dirname(path)}")


def write_report(evaluation: Evaluation, path: str) -> None:
    """Write the page, whole or not at all. Raises InputError."""
    check_report(path)
    text = html_of(evaluation) if path.lower().endswith(".html") else markdown_of(evaluation)
    with whole_file(path) as file:
        file.write(text.encode())


def html_of(evaluation: Evaluation) -> str:
    """The page as HTML."""
    page = files("gemlet.evaluation") / "page"
    template, style = ((page / name).read_text(encoding="utf-8") for name in ("report.html", "report.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_html_parts(evaluation))
    return Template(template).substitute(POLICY=policy, TITLE=_escaped(TITLES[evaluation.kind]), STYLE=style, BODY=body)


def _html_parts(evaluation: Evaluation) -> Iterator[str]:
    yield f"<p>{_escaped(evaluation.what)}</p>"
    yield f'<p class="soft">{_escaped(str(evaluation.setting))}</p>'
    yield from (f'<p class="advice">{_escaped(line)}</p>' for line in advice(evaluation))
    yield from (f'<p class="soft">{_escaped(note)}</p>' for note in evaluation.notes)
    yield "<h2>Figures</h2>"
    bars = [_bar(one) for one in evaluation.figures]
    yield _html_table(FIGURE_HEAD, figure_rows(evaluation), bars)
    for one in evaluation.comparisons:
        yield f"<h2>{_escaped(one.name)}, compared</h2>"
        yield _html_table(DIFFERENCE_HEAD, difference_rows(one))
    if evaluation.hardest:
        title, wanted, found = HARDEST[evaluation.kind]
        yield f"<h2>{_escaped(title)}</h2>"
        yield from (_html_hard(one, wanted, found) for one in evaluation.hardest)


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]], bars: Sequence[str] = ()) -> str:
    cells = [f"<td>{'</td><td>'.join(map(_escaped, row))}</td>" for row in rows]
    last = [f"<td>{bar}</td>" for bar in bars] or [""] * len(rows)
    body = "".join(f"<tr>{row}{bar}</tr>" for row, bar in zip(cells, last, strict=True))
    names = "".join(f"<th>{_escaped(name)}</th>" for name in head) + ("<th></th>" if bars else "")
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _bar(one: Figure) -> str:
    """The interval on a line from 0 to 100; nothing for a figure that is not known or below 0."""
    if not one.low >= 0:
        return ""
    low, value, high = (round(150 * part, 1) for part in (one.low, one.value, one.high))
    return (
        '<svg width="150" height="12" aria-hidden="true"><rect class="track" y="5" width="150" height="2"/>'
        f'<rect class="interval" x="{low}" y="3" width="{round(max(high - low, 1), 1)}" height="6"/>'
        f'<rect class="value" x="{max(value - 1, 0)}" width="2" height="12"/></svg>'
    )


def _html_hard(one: Hard, wanted: str, found: str) -> str:
    rows = [(wanted, text) for text in one.wanted] + [(found, text) for text in one.found]
    items = "".join(f"<dt>{_escaped(name)}</dt><dd><bdi>{_escaped(text)}</bdi></dd>" for name, text in rows)
    head = f'<bdi>{_escaped(one.text)}</bdi> <span class="soft">({_escaped(one.measure)}; {_escaped(one.place)})</span>'
    return f'<section class="hard">{head}<dl>{items}</dl></section>'


def markdown_of(evaluation: Evaluation) -> str:
    """The page as Markdown."""
    return "\n".join(_markdown_parts(evaluation)) + "\n"


def _markdown_parts(evaluation: Evaluation) -> Iterator[str]:
    yield f"# {TITLES[evaluation.kind]}\n"
    yield f"{_marked(evaluation.what)}\n"
    yield f"{_marked(str(evaluation.setting))}\n"
    yield from (f"**{_marked(line)}**\n" for line in advice(evaluation))
    yield from (f"{_marked(note)}\n" for note in evaluation.notes)
    yield f"## Figures\n\n{_markdown_table(FIGURE_HEAD, figure_rows(evaluation))}\n"
    for one in evaluation.comparisons:
        yield f"## {_marked(one.name)}, compared\n\n{_markdown_table(DIFFERENCE_HEAD, difference_rows(one))}\n"
    if evaluation.hardest:
        title, wanted, found = HARDEST[evaluation.kind]
        yield f"## {title}\n"
        for hard in evaluation.hardest:
            yield f"- {_marked(hard.text)} ({_marked(hard.measure)}; {_marked(hard.place)})"
            yield from (f"  - {wanted}: {_marked(text)}" for text in hard.wanted)
            yield from (f"  - {found}: {_marked(text)}" for text in hard.found)


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    return html.escape(_STEERING.sub(" ", text))


def _marked(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKS.sub(r"\\\1", html.escape(_STEERING.sub(" ", text), quote=False))
