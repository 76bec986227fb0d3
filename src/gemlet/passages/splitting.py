"""Document → passages: sections that fit stay whole, longer ones are cut where their parts meet, small ones joined."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from gemlet.documents import Document
from gemlet.errors import InputError
from gemlet.passages.passage import Count, Passage
from gemlet.passages.pieces import Piece, count_tokens, pieces_of
from gemlet.passages.sentences import sentences
from gemlet.passages.titles import Titles

CHUNKER = 1
"""Version of what read_document() and split() do: one more whenever the same file would make other passages."""

_JOINT = 1
"""The tokens that a line break or a blank line between two pieces takes."""

_MOST_BREAKS = 31
"""Line breaks between two blocks that are kept: as many are one token."""

Range = tuple[int, int]
"""Pieces from the first to before the last."""


def split(document: Document, count: Count, *, tokens: int = 768, overlap: int = 0) -> list[Passage]:
    """Cut a document into passages.

    count    the tokens of each of many texts, as Embedder.count_tokens() counts them; called in large batches
    tokens   no passage has more, as `count` counts them; what fits whole is not cut, and what does not is cut into
             parts of about two thirds of it
    overlap  where a section is cut, a part begins with the last sentences of the one before it, of about that many
             tokens at most

    Every character of the document that is not white space is in a passage, in order. Raises InputError for `tokens`
    below 32, or an `overlap` of more than a third of it.
    """
    if tokens < 32 or not 0 <= overlap <= tokens // 3:
        raise InputError(f"tokens is {tokens} and overlap is {overlap}: pass 32 or more, and at most a third of it")
    if not document.blocks:
        return []
    extra = int(count([""])[0])
    limit = tokens - extra
    pieces = pieces_of(document.blocks, count, extra, _goal(limit))
    ranges = Sections(document, pieces, limit).ranges()
    return list(_Writer(document, pieces, count, extra, limit).passages(ranges, overlap))


def _goal(limit: int) -> int:
    """What a part of something longer should have: a heading, and a piece as long as this, are within the limit."""
    return limit * 2 // 3


class Sections:
    """Which pieces go together."""

    def __init__(self, document: Document, pieces: Sequence[Piece], limit: int) -> None:
        self._limit = limit
        self._goal = _goal(limit)
        self._small = limit // 6
        self._blocks = document.blocks
        self._pieces = pieces
        self._sums = [0, *accumulate(piece.tokens + _JOINT for piece in pieces)]
        self._levels = [document.blocks[piece.block].level if piece.begin == 0 else 0 for piece in pieces]

    def ranges(self) -> list[Range]:
        """Ranges of pieces, each a passage, in order and without gaps."""
        return self._sections(0, 1, len(self._pieces))

    def _size(self, first: int, last: int) -> int:
        return self._sums[last] - self._sums[first] - _JOINT

    def _sections(self, first: int, inner: int, last: int) -> list[Range]:
        """Pieces [first, last), cut where sections begin; those that begin before `inner` are no place to cut."""
        if self._size(first, last) <= self._limit:
            return [(first, last)]
        starts = self._starts(first, inner, last)
        if not starts:
            return self._parts(first, last)
        ranges: list[Range] = []
        for begin, (start, end) in zip([first, *starts[1:]], pairwise([*starts, last]), strict=True):
            ranges += self._sections(begin, start + 1, end)
        return self._joined(ranges)

    def _starts(self, first: int, inner: int, last: int) -> list[int]:
        """Where the outermost sections begin; what stands before them is one too, or goes with the first if small."""
        levels = {level for level in self._levels[inner:last] if level}
        if not levels:
            return []
        outermost = min(levels)
        starts = [place for place in range(inner, last) if self._levels[place] == outermost]
        return starts if self._size(first, starts[0]) < self._small else [inner - 1, *starts]

    def _joined(self, ranges: Sequence[Range]) -> list[Range]:
        """Small ones put together with their neighbours."""
        joined: list[Range] = []
        for first, last in ranges:
            if joined:
                begin, end = joined[-1]
                small = min(self._size(begin, end), self._size(first, last)) < self._small
                if small and self._size(begin, last) <= self._goal:
                    joined[-1] = (begin, last)
                    continue
            joined.append((first, last))
        return joined

    def _parts(self, first: int, last: int) -> list[Range]:
        """What has no sections inside, in parts of about the same size."""
        parts: list[Range] = []
        begin, share = first, self._share(first, last)
        for place in range(first + 1, last):
            if self._is_cut(self._size(begin, place), place, share):
                parts.append((begin, place))
                begin, share = place, self._share(place, last)
        if parts and self._size(begin, last) < self._goal // 2 and self._size(parts[-1][0], last) <= self._limit:
            begin, _ = parts.pop()
        return [*parts, (begin, last)]

    def _share(self, first: int, last: int) -> float:
        rest = self._size(first, last)
        return rest / max(-(-rest // self._goal), 1)

    def _is_cut(self, size: int, place: int, share: float) -> bool:
        """Whether a part of this size ends before this piece: between blocks sooner than inside of one."""
        grown = size + self._pieces[place].tokens + _JOINT
        if size >= share or grown > self._limit:
            return True
        if size < self._small:
            return False
        return grown - share > share - size or (size > 0.8 * share and self._begins_part(place))

    def _begins_part(self, place: int) -> bool:
        """Whether a paragraph begins here that does not hang below another by its indentation."""
        block = self._blocks[self._pieces[place].block]
        return self._pieces[place].begin == 0 and (block.kind == "code" or not block.text[0].isspace())


class _Writer:
    """Ranges of pieces → passages with their text, title, lines and page."""

    def __init__(self, document: Document, pieces: list[Piece], count: Count, extra: int, limit: int) -> None:
        self._blocks = document.blocks
        self._pieces = pieces
        self._count = count
        self._extra = extra
        self._limit = limit
        self._titles = Titles(document)
        self._cursor = (0, 0, document.blocks[0].line)  # block, place in its text, line of that place

    def passages(self, ranges: Sequence[Range], overlap: int) -> Iterator[Passage]:
        """The passages, each counted as a whole: one that has more tokens than its pieces is halved."""
        for first, last in self._fitting(ranges):
            yield self._passage(self._pieces[first:last], self._lead(first, last, overlap) if overlap else None)

    def _fitting(self, ranges: Sequence[Range]) -> list[Range]:
        several = [found for found in ranges if found[1] - found[0] > 1]
        texts = (self._text(self._pieces[first:last]) for first, last in several)
        counts = count_tokens(texts, self._count, self._extra)
        too_long = {found for found, tokens in zip(several, counts, strict=True) if tokens > self._limit}
        fitting: list[Range] = []
        for first, last in ranges:
            middle = (first + last) // 2
            fitting += (
                self._fitting([(first, middle), (middle, last)]) if (first, last) in too_long else [(first, last)]
            )
        return fitting

    def _lead(self, first: int, last: int, overlap: int) -> Piece | None:
        """The last sentences of the piece before, when the passage goes on from it and has room."""
        if first == 0 or (self._pieces[first].begin == 0 and self._blocks[self._pieces[first].block].level):
            return None
        piece = self._pieces[first - 1]
        text = self._blocks[piece.block].text[piece.begin : piece.end]
        characters = len(text) * overlap // max(piece.tokens, 1)
        begins = [begin for begin, _ in sentences(text) if 0 < len(text) - begin <= characters]
        if not begins:
            return None
        lead = piece._replace(begin=piece.begin + begins[0])
        tokens = int(self._count([self._text([lead, *self._pieces[first:last]])])[0])
        return lead if tokens - self._extra <= self._limit else None

    def _passage(self, pieces: list[Piece], lead: Piece | None) -> Passage:
        title = self._titles.title(((piece.block, piece.tokens) for piece in pieces), _first_begun(pieces))
        shown = [lead, *pieces] if lead else pieces
        text = self._text(shown)
        first_line = self._line(shown[0].block, shown[0].begin)
        last_line = self._line(shown[-1].block, shown[-1].end)
        return Passage(text, title, first_line, last_line, self._blocks[shown[0].block].page)

    def _text(self, pieces: Sequence[Piece]) -> str:
        """As the document has it, with its blank lines: a place in the text tells the line in the file."""
        parts: list[str] = []
        following = 0  # the line behind the last block
        at = 0
        while at < len(pieces):
            number, begin, end, _ = pieces[at]
            while at + 1 < len(pieces) and pieces[at + 1].block == number:
                at += 1
                end = pieces[at].end
            block = self._blocks[number]
            if parts:
                breaks = block.line - following + 1
                parts.append("\n" * min(breaks, _MOST_BREAKS) if breaks > 0 else "\n\n")
            parts.append(block.text[begin:end])
            following = block.line + block.text.count("\n") + 1 if at + 1 < len(pieces) else 0
            at += 1
        return "".join(parts)

    def _line(self, block: int, place: int) -> int:
        """The line of a place in a block's text, counted on from the last one that was asked for."""
        known, counted, line = self._cursor
        if known != block:
            counted, line = 0, self._blocks[block].line
        text = self._blocks[block].text
        line += text.count("\n", counted, place) if place >= counted else -text.count("\n", place, counted)
        self._cursor = (block, place, line)
        return line


def _first_begun(pieces: Sequence[Piece]) -> int:
    return pieces[0].block if pieces[0].begin == 0 else pieces[0].block + 1
