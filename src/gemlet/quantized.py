"""A checkpoint's folder → its file in Q8_0, written once and mapped from then on.   (folder → .gguf)

<cache>/models/google--embeddinggemma-300m/57c266a740f5.q8_0.gguf    of a fetched checkpoint, beside its folder
<cache>/quantized/my-fine-tune-8c736521.q8_0.gguf                    of any other folder; the number is its path's

Beside it lie `.json`, which says what it was made from, and `.lock`, which the process that writes holds. When a file
of the checkpoint changes, or another version of the writer runs, the file is made anew. All of it may be deleted: the
next start writes it again.
"""

import json
from pathlib import Path
from typing import Any

from gemlet.checkpoint import checkpoint_files
from gemlet.errors import CacheWarning, ModelError, UnsupportedModel, WeightsError, warn
from gemlet.pretrained import Progress, cache_folder, exclusive, known_digest

WRITER = 3
"""Version of what write_gguf() writes: one more whenever the same checkpoint would make other bytes."""


class QuantizedFile:
    """The file in Q8_0 of one folder: where it lies, and whether it is of what the folder holds now."""

    def __init__(self, folder: Path) -> None:
        """Raises nothing: the folder need not hold a checkpoint."""
        self.folder = folder.resolve()
        self.path = _place(self.folder)
        self._record = self.path.with_suffix(".json")

    def is_current(self) -> bool:
        """Whether the file is there, whole, and by this writer from the folder's files: sizes and times tell."""
        try:
            return bool(json.loads(self._record.read_bytes()) == self._facts(self._origin()))
        except (OSError, ValueError, RecursionError, ModelError):
            return False

    def write(self, progress: Progress) -> None:
        """Write the file, unless another process has done so by the time that this one may.

        Raises WeightsError and UnsupportedModel for the checkpoint, ModelError and OSError when there is no room or the
        cache cannot be written.
        """
        from gemlet.gguf import write_gguf

        origin = self._origin()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(
            self.path.with_suffix(".lock"),
            lambda: progress.message(f"waiting: another process writes {self.path}"),
        ):
            if self.is_current():
                return
            self._clear()
            write_gguf(
                self.folder,
                self.path,
                dtype="q8_0",
                source_sha256=known_digest(self.folder, "model.safetensors"),
                progress=lambda done, total: progress.update(done, total, self.path.name),
            )
            self._record.write_text(json.dumps(self._facts(origin), indent=1), encoding="utf-8")

    def _facts(self, origin: dict[str, Any]) -> dict[str, Any]:
        """What the record says when all is well."""
        return {**origin, "bytes": self.path.stat().st_size}

    def _origin(self) -> dict[str, Any]:
        """What the file is made from, in JSON's types."""
        found = {path: path.stat() for path in checkpoint_files(self.folder)}
        return {
            "writer": WRITER,
            "folder": str(self.folder),
            "files": {str(path.relative_to(self.folder)): [s.st_size, s.st_mtime_ns] for path, s in found.items()},
        }

    def _clear(self) -> None:
        """Remove what was made from other contents, and what a killed process left half-written."""
        for path in (self._record, self.path, *self.path.parent.glob(f".{self.path.name}.*.tmp")):
            path.unlink(missing_ok=True)


def quantized(folder: Path, progress: Progress) -> Path | None:
    """The file in Q8_0 of the checkpoint in `folder`, written now unless there is one that is current.

    progress  shows the writing: some 5 s for the published checkpoint

    Returns None where the folder itself has to be packed at every start: when the cache has no room or cannot be
    written, of which it warns, and when a .gguf file cannot say what the checkpoint is. Raises WeightsError.
    """
    file = QuantizedFile(folder)
    try:
        if not file.is_current():
            file.write(progress)
    except WeightsError:
        raise
    except UnsupportedModel:  # by the format, or by the engine, which will say so itself
        return None
    except (ModelError, OSError) as error:
        warn(_cannot_keep(file.path, error), CacheWarning)
        return None
    return file.path


def _place(folder: Path) -> Path:
    """Beside a folder that gemlet fetched; for any other in the cache, under a name that its path gives.

    Two paths of one name would take turns with the file, as its record names the folder: slow, but never wrong.
    """
    cache = cache_folder().resolve()
    if folder.is_relative_to(cache / "models"):
        return folder.parent / f"{folder.name}.q8_0.gguf"
    import zlib

    return cache / "quantized" / f"{folder.name[:40]}-{zlib.crc32(bytes(folder)):08x}.q8_0.gguf"


def _cannot_keep(path: Path, error: Exception) -> str:
    reason = error.strerror or error if isinstance(error, OSError) else error
    return (
        f"cannot keep the 8-bit file {path}: {reason}; every start packs the weights again, which is slow: "
        "make room, or set GEMLET_CACHE to a folder that can be written"
    )
