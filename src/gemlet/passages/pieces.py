"""Blocks → pieces: whole blocks where they fit, else runs of sentences, of lines, at last of characters.

A piece is (block, begin, end, tokens): text[begin:end] of a block, by the block's number. Tokens are counted in large
batches, for each piece once.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gemlet.documents import Block
from gemlet.passages.passage import Count
from gemlet.passages.sentences import sentences

_BATCH_CHARACTERS = 1 << 20
_SPACE = re.compile(r"\s+")


class Piece(NamedTuple):
    """text[begin:end] of block number `block`, and its tokens."""

    block: int
    begin: int
    end: int
    tokens: int


def count_tokens(texts: Iterator[str], count: Count, extra: int) -> Iterator[int]:
    """The tokens of each text, less the `extra` that count() adds to every text, asked for in batches."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS or len(batch) >= 4096:
            yield from (int(tokens) - extra for tokens in count(batch))
            batch, size = [], 0
    if batch:
        yield from (int(tokens) - extra for tokens in count(batch))


def pieces_of(blocks: Sequence[Block], count: Count, extra: int, limit: int) -> list[Piece]:
    """All blocks in pieces of at most `limit` tokens, in order; only white space is between them."""
    spans = [(number, *span) for number, block in enumerate(blocks) for span in _first_cut(block, limit)]
    counts = count_tokens((blocks[b].text[begin:end] for b, begin, end in spans), count, extra)
    pieces = [Piece(*span, tokens) for span, tokens in zip(spans, counts, strict=True)]
    while any(piece.tokens > limit and piece.end - piece.begin > 1 for piece in pieces):
        pieces = _cut_again(pieces, blocks, count, extra, limit)
    return pieces


def _first_cut(block: Block, limit: int) -> Iterator[tuple[int, int]]:
    """A block that may fit stays whole: what it holds for certain is only known when it is counted."""
    if len(block.text) <= 8 * limit:
        yield 0, len(block.text)
    else:
        yield from _runs(_units(block.text, 0, len(block.text), block.kind == "code", limit), limit)


def _cut_again(pieces: Sequence[Piece], blocks: Sequence[Block], count: Count, extra: int, limit: int) -> list[Piece]:
    """Cut every piece that is too long: at sentences or lines, or in two when it is one of these."""
    spans: list[tuple[int, int, int]] = []
    for piece in pieces:
        if piece.tokens > limit and piece.end - piece.begin > 1:
            text = blocks[piece.block].text
            is_code = blocks[piece.block].kind == "code"
            units = list(_runs(_units(text, piece.begin, piece.end, is_code, limit), limit))
            if len(units) < 2:
                units = list(_quarters(text, piece.begin, piece.end))
            spans += [(piece.block, *_stripped(text, *unit)) for unit in units]
    counts = count_tokens((blocks[b].text[begin:end] for b, begin, end in spans), count, extra)
    cut = iter([Piece(*span, tokens) for span, tokens in zip(spans, counts, strict=True) if span[1] < span[2]])
    merged: list[Piece] = []
    following = next(cut, None)
    for piece in pieces:
        if not (piece.tokens > limit and piece.end - piece.begin > 1):
            merged.append(piece)
            continue
        while following is not None and following.block == piece.block and following.end <= piece.end:
            merged.append(following)
            following = next(cut, None)
    return merged


def _units(text: str, begin: int, end: int, is_code: bool, limit: int) -> Iterator[tuple[int, int]]:
    """Lines of code, sentences of anything else; none much longer than what may fit."""
    longest = 8 * limit
    units = _lines(text, begin, end) if is_code else _sentences(text, begin, end)
    for first, last in units:
        while last - first > longest:
            cut = text.rfind(" ", first + longest // 2, first + longest) + 1 or first + longest
            yield first, cut
            first = cut
        if first < last:
            yield first, last


def _sentences(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    part = text if begin == 0 and end == len(text) else text[begin:end]
    for first, last in sentences(part):
        yield begin + first, begin + last


def _lines(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    while begin < end:
        stop = text.find("\n", begin, end)
        stop = end if stop < 0 else stop
        if text[begin:stop].strip():
            yield begin, stop
        begin = stop + 1


def _runs(units: Iterator[tuple[int, int]], limit: int) -> Iterator[tuple[int, int]]:
    """Short units put together: pieces far smaller than a passage would only take memory."""
    begin = end = -1
    for first, last in units:
        if begin >= 0 and last - begin > limit // 2:
            yield begin, end
            begin = first
        elif begin < 0:
            begin = first
        end = last
    if begin >= 0:
        yield begin, end


def _quarters(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Four parts of about the same length, cut between two words where there are some, else between characters."""
    length = max((end - begin + 3) // 4, 1)
    while end - begin > length:
        space = _SPACE.search(text, begin + length, min(begin + length + length // 2, end))
        middle = space.end() if space else begin + length
        yield begin, middle
        begin = middle
    yield begin, end


def _stripped(text: str, begin: int, end: int) -> tuple[int, int]:
    part = text[begin:end]
    return begin + len(part) - len(part.lstrip("\n")), begin + len(part.rstrip())
