"""A stream of bytes → lines, with their places, whatever their length.   (bytes → lines)"""

from collections.abc import Iterator
from typing import Any

LINE_BYTES = 32 << 20
"""A longer line is no row: 32 MB are 8 million tokens, hours of embedding."""

_READ = 1 << 20


def lines(stream: Any, size: int | None = None) -> Iterator[tuple[bytes, int]]:
    """Yield (line, bytes in the file) for each line of the stream's next `size` bytes; None: to its end.

    A line has no line feed at its end. Of one that is longer than LINE_BYTES only the beginning is there. The second
    number counts the line feed. Raises OSError.
    """
    parts: list[bytes] = []  # of a line that has not ended
    length = kept = 0
    while size is None or size > 0:
        data = stream.read(_READ if size is None else min(_READ, size))
        if not data:
            break
        size = None if size is None else size - len(data)
        *ended, rest = data.split(b"\n")
        for piece in ended:
            line = b"".join([*parts, piece]) if parts else piece
            yield line[:LINE_BYTES], length + len(piece) + 1
            parts, length, kept = [], 0, 0
        if rest:
            length += len(rest)
            if kept <= LINE_BYTES:
                parts.append(rest)
                kept += len(rest)
    if parts:
        yield b"".join(parts)[:LINE_BYTES], length


def is_too_long(line: bytes, size: int) -> bool:
    """Whether a line of lines() was cut."""
    return len(line) >= LINE_BYTES and size > len(line)
