"""Ignore files → is this path left out?   (.gitignore, .gemletignore → verdict)

pathspec knows what a pattern means; asked for each path it would take seconds for 10,000 files. Most patterns are a
name or an ending: those become sets here, the others one regular expression, and a path takes microseconds.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

IGNORE_FILES = (".gitignore", ".gemletignore")  # the later one has the last word
LEFT_OUT = (".*", "node_modules/", "__pycache__/")

_SIMPLE = re.compile(r"(!?)(\*?)([\w.+~@%=,-]+)(/?)")


@dataclass
class _Group:
    """Patterns that stand together in a file and say the same: leave out, or (with "!") take in."""

    names: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    endings: tuple[str, ...] = ()
    regex: re.Pattern[str] | None = None

    def matches(self, inside: str, name: str, is_folder: bool) -> bool:
        return (
            name in self.names
            or (is_folder and name in self.folders)
            or name.endswith(self.endings)
            or (self.regex is not None and self.regex.match(f"{inside}/" if is_folder else inside) is not None)
        )


class Patterns:
    """The patterns of one ignore file."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Take what is a pattern; what is none is passed over, as Git does."""
        parsed = [pattern for line in lines if (pattern := _parse(line)) is not None]
        grouped = [(out, _group([p for _, p in run])) for out, run in groupby(parsed, key=lambda pattern: pattern[0])]
        self._groups = grouped[::-1]  # the last pattern that matches decides

    def verdict(self, inside: str, is_folder: bool) -> bool | None:
        """True: leave the path out. False: take it in. None: no pattern is about it.

        inside  the path from the ignore file's folder on, with "/"
        """
        name = inside.rpartition("/")[2]
        return next((out for out, group in self._groups if group.matches(inside, name, is_folder)), None)


class Rules:
    """The ignore files that hold in a folder: the deepest first, as the first that has a word on a path decides."""

    def __init__(self, files: tuple[tuple[str, Patterns], ...]) -> None:
        self._files = files

    def extended(self, folder: str, names: Sequence[str]) -> "Rules":
        """With the ignore files of one more folder, of these names."""
        files = [(folder.rstrip(os.sep) + os.sep, _read(os.path.join(folder, name))) for name in names]
        return Rules((*reversed(files), *self._files)) if files else self

    def ignore(self, path: str, is_folder: bool) -> bool:
        """Whether the path is left out."""
        if path.endswith(f"{os.sep}.git"):
            return True
        for base, patterns in self._files:
            verdict = patterns.verdict(path[len(base) :].replace(os.sep, "/"), is_folder)
            if verdict is not None:
                return verdict
        return False


def rules_above(root: str, *, hidden: bool) -> Rules:
    """What holds in the root before its own ignore files: the defaults, and what a repository says above it."""
    base = root.rstrip(os.sep) + os.sep
    rules = Rules(((base, Patterns(LEFT_OUT[1:] if hidden else LEFT_OUT)),))
    above = [root]
    while not os.path.lexists(os.path.join(above[-1], ".git")):
        parent = os.path.dirname(above[-1])
        if parent == above[-1]:
            return rules
        above.append(parent)
    for folder in reversed(above[1:]):
        rules = rules.extended(folder, [name for name in IGNORE_FILES if os.path.isfile(os.path.join(folder, name))])
    return rules


def _read(path: str) -> Patterns:
    """The patterns of an ignore file; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return Patterns(file.read().decode("utf-8-sig", "surrogateescape").splitlines())
    except OSError:
        return Patterns([])


Parsed = tuple[bool, tuple[str, str]]  # leaves out?, (which member of _Group, value)


def _parse(line: str) -> Parsed | None:
    simple = _SIMPLE.fullmatch(line)
    if simple and not (simple[2] and simple[4]):
        kind = "endings" if simple[2] else "folders" if simple[4] else "names"
        return not simple[1], (kind, simple[3])
    from pathspec import GitIgnoreSpec

    try:
        (pattern,) = GitIgnoreSpec.from_lines([line]).patterns
    except (ValueError, re.error):  # nothing in the line, or no pattern
        return None
    regex = getattr(pattern, "regex", None)
    if regex is None or pattern.include is None:
        return None
    text = regex.pattern
    return pattern.include, ("regex", ".*" if text == "." else text.removeprefix("^").replace("?P<ps_d>", "?:"))


def _group(patterns: list[tuple[str, str]]) -> _Group:
    kinds: dict[str, list[str]] = {"names": [], "folders": [], "endings": [], "regex": []}
    for kind, value in patterns:
        kinds[kind].append(value)
    regex = re.compile(rf"(?:{'|'.join(kinds['regex'])})\Z", re.DOTALL) if kinds["regex"] else None
    return _Group(set(kinds["names"]), set(kinds["folders"]), tuple(kinds["endings"]), regex)
