"""Names: where an index lies, which paths and roots are meant, how a model is called later."""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gemlet.store import Root, StoreWriter


def default_path() -> Path:
    """Where a user's index lies: $GEMLET_INDEX, or in the platform's folder for data."""
    if given := os.environ.get("GEMLET_INDEX"):
        return Path(given).expanduser().absolute()
    if sys.platform == "linux":  # as platformdirs says, which takes 18 ms to import
        base = os.environ.get("XDG_DATA_HOME", "")
        return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "gemlet" / "index.db"
    import platformdirs

    return Path(platformdirs.user_data_dir("gemlet", appauthor=False)) / "index.db"


def delete(index: Path) -> None:
    """Remove an index with all that lies beside it."""
    for ending in ("", "-wal", "-shm", ".lock", ".scan"):
        index.with_name(index.name + ending).unlink(missing_ok=True)


def absolute(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Paths as the index has them: absolute, with links as they are."""
    return [os.path.abspath(os.path.expanduser(os.fspath(path))) for path in paths]


def roots_for(store: StoreWriter, names: list[str], hidden: bool | None, follow: bool | None) -> list[Root]:
    """What to walk, and how: as it is asked for, else as before."""
    known = {root.path: root for root in store.root_settings()}
    wanted = [os.fsencode(name) for name in dict.fromkeys(names)] or list(known)
    roots = [known.get(path, Root(path)) for path in wanted]
    if hidden is not None:
        roots = [replace(root, hidden=hidden) for root in roots]
    return roots if follow is None else [replace(root, follow=follow) for root in roots]


def lasting(name: str) -> str:
    """The model as a later call may name it, from another folder too."""
    return str(Path(name).expanduser().absolute()) if Path(name).expanduser().exists() else name
