"""A folder → the files in it that are worth reading, a stat each.   (path → stamps)"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from gemlet.folders.ignore import IGNORE_FILES, Rules, rules_above

MARKS = {"CACHEDIR.TAG", "pyvenv.cfg"}  # a folder with one of these holds nothing that somebody wrote

SETTLED_S = 2.0
"""The coarsest clock of a file system (FAT's): a file changed this long ago cannot change again without a new time."""


@dataclass(frozen=True)
class Stamp:
    """A file as a stat shows it.

    path     absolute, the file system's own bytes
    settled  whether a later change is bound to change the stamp: false for a file that was touched moments before
    """

    path: bytes
    size: int
    mtime_ns: int
    inode: int
    settled: bool = True

    def same(self, other: "Stamp") -> bool:
        """Whether both show the same file in the same state."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass
class Walk:
    """One walk through a root: iterate over stamps(), then look at what could not be listed.

    root      absolute path of a file or folder; it is taken whatever its name is
    hidden    take hidden files and folders too
    follow    go through symbolic links; a folder that was already met is not entered again, so that loops end
    unlisted  filled by the walk: (folder, reason) of each that could not be listed
    """

    root: str
    hidden: bool = False
    follow: bool = False
    unlisted: list[tuple[str, str]] = field(default_factory=list)
    _met: set[tuple[int, int]] = field(default_factory=set)

    def stamps(self) -> Iterator[Stamp]:
        """Every file, folder by folder, in the order of their names. Raises OSError when the root is not there."""
        found = os.stat(self.root)
        if stat.S_ISREG(found.st_mode):
            yield stamp_of(self.root, found)
        elif stat.S_ISDIR(found.st_mode):
            self._met.add((found.st_dev, found.st_ino))
            yield from self._folder(self.root, rules_above(self.root, hidden=self.hidden))

    def _folder(self, top: str, top_rules: Rules) -> Iterator[Stamp]:
        waiting = [(top, top_rules)]
        while waiting:
            folder, rules = waiting.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self.unlisted.append((folder, f"cannot be listed: {error.strerror}"))
                continue
            names = {entry.name for entry in entries}
            if names & MARKS and folder != self.root:
                continue
            rules = rules.extended(folder, [name for name in IGNORE_FILES if name in names])
            inside = []
            for entry in entries:
                found = self._look(entry, rules)
                if found is None:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    inside.append((entry.path, rules))
                else:
                    yield stamp_of(entry.path, found)
            waiting += reversed(inside)

    def _look(self, entry: os.DirEntry[str], rules: Rules) -> os.stat_result | None:
        """The stat of a file to read or a folder to enter; None for anything else."""
        try:
            if entry.is_symlink() and not self.follow:
                return None
            is_folder = entry.is_dir()
            if rules.ignore(entry.path, is_folder):
                return None
            found = entry.stat()
        except OSError:  # gone meanwhile, or a link that leads nowhere or round in a circle
            return None
        if is_folder:
            if self.follow and (found.st_dev, found.st_ino) in self._met:
                return None
            self._met.add((found.st_dev, found.st_ino))
            return found
        return found if stat.S_ISREG(found.st_mode) else None


def stamp_of(path: str, found: os.stat_result) -> Stamp:
    """The stamp of a file from its stat."""
    settled = abs(time.time() - found.st_mtime) > SETTLED_S
    return Stamp(os.fsencode(path), found.st_size, found.st_mtime_ns, found.st_ino, settled)


def shown(path: str | bytes) -> str:
    r"""A path on one line of a terminal: control characters and bytes that are no UTF-8 as \n, \x1b, \xff."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
