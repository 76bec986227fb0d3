"""HTML → blocks, with the line of the file that each begins in.

A scanner of its own, linear in the length of the file: it looks at each `<` once, whatever is left unclosed.
"""

import html
import re
from dataclasses import dataclass, field

from gemlet.documents.document import Block, BlockKind

_TAG = re.compile(r"""</?([a-zA-Z][^\s/<>]*)(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>""")
_ANY_TAG = re.compile(r"</?([a-zA-Z][^\s/<>]*)[^<>]*>")
_SPACES = re.compile(r"\s+")

_SKIPPED = frozenset(["script", "style", "template", "svg", "nav", "iframe", "noscript", "select", "textarea"])
_BREAKS = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|"
    "footer|form|h[1-6]|head|header|hr|html|li|main|nav|ol|option|p|pre|section|summary|table|tbody|tfoot|thead|"
    "title|tr|ul"
)
_IN_CELLS = re.compile("address|blockquote|center|dd|div|dl|dt|figure|li|ol|p|pre|section|ul")
"""In a row of a table they break nothing."""
_KEPT = re.compile("title|pre|tr|h[1-6]")


def html_document(text: str) -> tuple[str | None, list[Block]]:
    """Return (title, blocks): the title is that of <title>, else of the first heading."""
    page = _Page(text)
    page.read()
    headings = (block.name for block in page.blocks if block.kind == "heading")
    return page.title or next(headings, None), page.blocks


@dataclass
class _Page:
    text: str
    title: str | None = None
    blocks: list[Block] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    begin: int = -1  # where the block's first character stands
    tag: str = "p"  # the innermost of title, h1 to h6, pre, tr that is open
    unclosed: set[str] = field(default_factory=set)  # elements to skip that have no end from here on
    counted: int = 0  # newlines are counted up to here
    line: int = 1

    def read(self) -> None:
        text, place = self.text, 0
        while (open_at := text.find("<", place)) >= 0:
            self.add(place, open_at)
            place = self.markup(open_at)
        self.add(place, len(text))
        self.end()

    def markup(self, at: int) -> int:
        """Take in what begins with the `<` at this place; return where to go on."""
        text = self.text
        if text.startswith("<!--", at):
            return _behind(text, "-->", at + 4)
        if text.startswith(("<!", "<?"), at):
            return _behind(text, ">", at)
        match = _TAG.match(text, at) or _ANY_TAG.match(text, at)
        if match is None:
            self.add(at, at + 1)
            return at + 1
        name = match[1].lower()
        closing = text[at + 1] == "/"
        if name in _SKIPPED and not closing and not match[0].endswith("/>"):
            return self.skipped(name, match.end())
        self.element(name, closing)
        return match.end()

    def skipped(self, name: str, place: int) -> int:
        """Where the element ends; one that never ends is taken for text, but a script is nothing else."""
        end = None if name in self.unclosed else re.compile(f"</{name}", re.I).search(self.text, place)
        if end is None:
            self.unclosed.add(name)
            return len(self.text) if name in ("script", "style") else place
        return _behind(self.text, ">", end.end())

    def element(self, name: str, closing: bool) -> None:
        if name in ("td", "th"):
            if not closing and self.begin >= 0:
                self.parts.append(" | ")
        elif name == "br":
            self.parts += ["\n"] if self.parts else []
        elif self.tag == "tr" and _IN_CELLS.fullmatch(name):
            self.parts.append(" ")
        elif _BREAKS.fullmatch(name):
            self.end()
            self.tag = name if _KEPT.fullmatch(name) and not closing else "p"

    def add(self, begin: int, end: int) -> None:
        """Take in a run of characters outside of tags."""
        if begin == end:
            return
        part = self.text[begin:end]
        if self.begin < 0 and not part.isspace():
            self.begin = begin + len(part) - len(part.lstrip())
        if self.begin >= 0:
            part = html.unescape(part) if "&" in part else part
            self.parts.append(part if self.tag == "pre" else _SPACES.sub(" ", part))

    def end(self) -> None:
        """Close the block that is open."""
        text = "".join(self.parts)
        if self.tag == "pre":
            text = text.strip("\n").rstrip()
        else:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
            text = text.rstrip(" |") if self.tag == "tr" else text
        if text.strip() and self.begin >= 0:
            self.line += self.text.count("\n", self.counted, self.begin)
            self.counted = self.begin
            self.put(text)
        self.parts, self.begin = [], -1

    def put(self, text: str) -> None:
        if self.tag == "title":
            self.title = self.title or text
        elif self.tag[0] == "h":
            self.blocks.append(Block(text, self.line, None, "heading", int(self.tag[1:]), text))
        else:
            kinds: dict[str, BlockKind] = {"pre": "code", "tr": "row"}
            self.blocks.append(Block(text, self.line, None, kinds.get(self.tag, "paragraph")))


def _behind(text: str, mark: str, place: int) -> int:
    end = text.find(mark, place)
    return end + len(mark) if end >= 0 else len(text)
