"""What a file of the index is called where its place on the disk is nobody's business.   (path ↔ name)"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from gemlet.folders import shown

_LOST = "elsewhere"


@dataclass(frozen=True)
class Names:
    """Names of files, by the roots below which they lie: "notes/plan.md" for /ann/notes/plan.md.

    roots  (absolute path, what it is called), the outermost first: no two are called the same. Without any it is rows
           that are there, or what others put into a database: their names stand as they were given
    """

    roots: tuple[tuple[str, str], ...]

    def of(self, path: str) -> str:
        """Name a file, with "/" between its parts, on one line: what is not printable is escaped."""
        if not self.roots:
            return shown(path)
        for root, name in self.roots:
            if path == root:
                return name
            if path.startswith(beginning := root if root.endswith(os.sep) else root + os.sep):
                return f"{name}/{shown(path[len(beginning) :]).replace(os.sep, '/')}"
        return f"{_LOST}/{shown(PurePath(path).name)}"

    def path_of(self, name: str) -> str | None:
        """The path of a name that of() gave; None for what cannot be one, such as a way out of its root."""
        if not self.roots:
            return name if name and "\0" not in name else None
        if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            return None
        for root, called in self.roots:
            if name == called:
                return root
            if name.startswith(called + "/"):
                return os.path.join(root, *name[len(called) + 1 :].split("/"))
        return None


def names_for(roots: Iterable[str]) -> Names:
    """Call each root by its own last part: "notes"; of several the later ones by a number more, "notes-2"."""
    found: dict[str, str] = {}
    for root in sorted(roots, key=lambda path: (len(PurePath(path).parts), path)):
        plain = name = shown(PurePath(root).name).replace("/", "_") or "root"
        number = 1
        while name in found.values():
            number += 1
            name = f"{plain}-{number}"
        found[root] = name
    return Names(tuple(found.items()))
