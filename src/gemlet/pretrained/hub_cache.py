"""What huggingface_hub has put on this machine already; read without it, and without network."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gemlet.pretrained.pins import HubRepository, Pin
from gemlet.pretrained.place import FileError, PlaceError, each, size_of
from gemlet.pretrained.progress import Meter, Progress
from gemlet.pretrained.store import Store


class HubCache:
    """The pinned files in the snapshots of the repositories that hold them, whatever their revision."""

    def __init__(self, repositories: Sequence[HubRepository]) -> None:
        self._repositories = repositories
        self.name = f"the hub's cache {hub_cache_folder()}"

    def fetch(self, missing: Sequence[Pin], store: Store, progress: Progress) -> None:
        """See Place.fetch."""
        snapshots = [folder for repository in self._repositories for folder in _snapshots(repository.name)]
        if not snapshots:
            raise PlaceError("no snapshot of " + " or ".join(repository.name for repository in self._repositories))
        meter = Meter(progress, "check", sum(pin.size for pin in missing))
        each(missing, lambda pin: self._take(pin, snapshots, store, meter))

    def _take(self, pin: Pin, snapshots: Sequence[Path], store: Store, meter: Meter) -> None:
        found = [folder / pin.path for folder in snapshots if size_of(folder / pin.path) == pin.size]
        if not found:
            raise FileError(f"no whole {pin.path}")
        for path in found:
            try:
                return store.link(pin, path, meter)
            except FileError as failure:
                reason = failure
        raise reason


def hub_cache_folder() -> Path:
    """Where huggingface_hub keeps its snapshots, by the same variables and in the same order as it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if given := os.environ.get(variable):
            return Path(os.path.expandvars(given)).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.path.expandvars(cache)).expanduser() / "huggingface" / "hub"


def _repository_folder(name: str) -> Path:
    return hub_cache_folder() / ("models--" + name.replace("/", "--"))


def _snapshots(name: str) -> list[Path]:
    try:
        return sorted((_repository_folder(name) / "snapshots").iterdir())
    except OSError:
        return []


def cached_snapshot(name: str) -> Path | None:
    """The snapshot of `main`, if it holds every file that its modules.json asks for."""
    repository = _repository_folder(name)
    try:
        commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            return None
        folder = repository / "snapshots" / commit
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        needed = ["config.json", "tokenizer.json", "model.safetensors"]
        for module in modules:
            if "Pooling" in module["type"] or "Dense" in module["type"]:
                needed.append(f"{module['path']}/config.json")
            if "Dense" in module["type"]:
                needed.append(f"{module['path']}/model.safetensors")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if all((folder / path).is_file() for path in needed) else None
