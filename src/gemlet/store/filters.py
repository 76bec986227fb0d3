"""Which passages a search may return.   (filter → condition)"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.store.names import Names

_FARTHEST = 2.0**62  # nanoseconds, the year 2116: SQLite's integers have 64 bits


@dataclass(frozen=True)
class Filter:
    """What must be true of a passage's file; what is left out is not asked.

    path_glob  as in .gitignore: "*.md" any such file, "notes" or "notes/" everything in a folder of that name,
               "src/**/*.py" from any folder on; "/notes/x" and "./x" name one place
    kinds      of document: "text", "markdown", "code", "pdf", ...
    languages  of code: "python", "c", ...
    after      modified at this time or later, in seconds since 1970
    before     modified before it
    names      the glob is held against what these call a file, not against its path: it tells nothing of the disk
    """

    path_glob: str | None = None
    kinds: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None
    names: "Names | None" = None

    def is_open(self) -> bool:
        """Whether every passage passes."""
        return replace(self, names=None) == EVERYTHING


EVERYTHING = Filter()


def condition(wanted: Filter) -> tuple[str, list[Any]]:
    """An SQL condition over files f and documents d, and its values; the glob's function is `path_matches`."""
    parts: list[str] = []
    values: list[Any] = []
    for column, allowed in (("d.kind", wanted.kinds), ("d.language", wanted.languages)):
        if allowed:
            parts.append(f"{column} IN ({','.join('?' * len(allowed))})")
            values += allowed
    for operator, seconds in ((">=", wanted.after), ("<", wanted.before)):
        if seconds is not None:
            parts.append(f"f.mtime_ns {operator} ?")
            values.append(int(max(-_FARTHEST, min(seconds * 1e9, _FARTHEST))))
    if wanted.path_glob is not None:
        parts.append("path_matches(f.path)")
    return " AND ".join(parts) or "1", values


def path_matcher(glob: str, names: "Names | None" = None) -> Callable[[bytes], bool]:
    """A function that tells whether an absolute path, as the file system's bytes, or its name, matches the glob.

    Raises InputError for what is no pattern.
    """
    expression = path_pattern(glob, of_names=names is not None)
    if expression is None:
        return lambda path: False
    matches = re.compile(expression).match  # of the one pattern: the spec's own method takes three times as long
    if names is not None:
        return lambda path: matches(names.of(os.fsdecode(path)).lstrip("/")) is not None
    return lambda path: matches(os.fsdecode(path).replace(os.sep, "/").lstrip("/")) is not None


def path_pattern(glob: str, *, of_names: bool = False) -> str | None:
    """The regular expression for a path with "/" between its parts and none before it; None: nothing matches.

    of_names  "./x" is a name like any other, and no place on the disk

    Raises InputError for what is no pattern.
    """
    from pathspec import GitIgnoreSpec

    if not of_names and (glob.startswith(("./", "../", "~")) or glob in (".", "..")):
        glob = os.path.abspath(os.path.expanduser(glob))
    pattern = glob.replace(os.sep, "/")
    if "/" in pattern.rstrip("/") and not os.path.isabs(glob):
        pattern = f"**/{pattern}"
    if pattern.startswith(("!", "#")):
        pattern = "\\" + pattern
    try:
        expressions = [p.regex.pattern for p in GitIgnoreSpec.from_lines([pattern]).patterns if p.regex is not None]
    except ValueError:
        raise InputError(f'{glob!r} is no pattern as in .gitignore: write "*.md", or "notes/"') from None
    return expressions[0] if expressions else None
