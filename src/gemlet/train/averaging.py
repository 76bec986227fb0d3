"""Checkpoints of one shape → the mean of their weights, as a checkpoint.   (folders → folder)

Tensors are read, averaged and written some rows at a time, so that memory stays small whatever the model's size. Sums
are in float64 and rounded once.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.checkpoint import Checkpoint, checkpoint_files, is_gguf, read_checkpoint
from gemlet.errors import InputError, WeightsError

Progress = Callable[[int, int], None]  # bytes that are written, of how many

_NUMBERS = 1 << 20  # of a tensor that are in memory at a time, of each folder
_BYTES = {"F32": 4, "BF16": 2}
_ALSO = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model")


@dataclass(frozen=True)
class _Part:
    """A weight file of every folder. path: below the folder; names: of each folder, tensor → what its file calls it."""

    path: Path
    files: list[_core.WeightFile]
    names: list[dict[str, str]]
    dtype: str

    @property
    def shapes(self) -> dict[str, list[int]]:
        return {name: self.files[0].tensors[own][1] for name, own in self.names[0].items()}


class Ingredients:
    """Checkpoints that can be averaged."""

    def __init__(self, folders: Sequence[str | os.PathLike[str]]) -> None:
        """Open folders in Hugging Face's layout.

        Raises InputError for a folder that is there twice or unlike the first in settings, tokenizer, or the names and
        shapes of its tensors; WeightsError, UnsupportedModel for what is no checkpoint.
        """
        self.folders = [Path(folder) for folder in folders]
        if not self.folders:
            raise InputError("there is no checkpoint to average: name one folder at least")
        seen: dict[str, Path] = {}
        for folder in self.folders:
            before = seen.setdefault(os.path.realpath(folder), folder)
            if before is not folder:
                raise InputError(f"{folder} is there twice: name each checkpoint once")
        self._checkpoints = [_read(folder) for folder in self.folders]
        for other in self._checkpoints[1:]:
            _check_alike(self._checkpoints[0], other)

    def average(self, chosen: Sequence[int], folder: Path, progress: Progress | None = None) -> None:
        """Write the mean of some of them into a folder that is made.

        chosen  their places among the folders; with one it is a copy. Settings and tokenizer are the first one's

        Raises OSError when it cannot be written, WeightsError for a number that is not finite.
        """
        first = self._checkpoints[0].folder
        for file in _settings(first):
            target = folder / file.relative_to(first)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        parts = _parts([self._checkpoints[one] for one in chosen])
        total = sum(_BYTES[part.dtype] * _count(shape) for part in parts for shape in part.shapes.values())
        done = 0
        for part in parts:
            (folder / part.path).parent.mkdir(parents=True, exist_ok=True)
            for size in _write(part, folder / part.path):
                done += size
                if progress:
                    progress(done, total)


@contextlib.contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Yield a folder that appears under its name when nothing failed; until then it is a hidden one beside it.

    Raises InputError when there is something of that name, or it cannot be written.
    """
    if os.path.lexists(output):
        raise InputError(f"{output} is there already: name another folder, or take it away")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}") from None
    try:
        yield folder
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(folder, 0o777 & ~mask)
        os.rename(folder, output)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"cannot write {output}: {error.strerror}") from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _read(folder: Path) -> Checkpoint:
    if not folder.exists():
        raise InputError(f"there is no folder {folder}: name checkpoints in Hugging Face's layout")
    if is_gguf(folder):
        raise InputError(f"{folder} is one .gguf file, whose weights may be rounded: name the folder it was made from")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder in Hugging Face's layout")
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise InputError(f"{folder} holds a LoRA adapter alone: merge it into its model first")
    return read_checkpoint(folder)


def _check_alike(first: Checkpoint, other: Checkpoint) -> None:
    """Raise InputError that names the first thing in which they differ."""
    where = f"{other.folder} is unlike {first.folder}"
    cure = "only checkpoints that were trained from one can be averaged"
    for key, value in first.config.items():
        if other.config.get(key) != value:
            raise InputError(f"{where}: its {key} is {other.config.get(key)}, not {value}; {cure}")
    if other.prompts != first.prompts:
        raise InputError(f"{where}: its prompts are others; {cure}")
    own, others = first.tensors, other.tensors
    odd = sorted(set(own) ^ set(others))
    if odd:
        raise InputError(f"{where}: only one of them has the tensor `{odd[0]}`; {cure}")
    for name, (_, shape) in own.items():
        if others[name][1] != shape:
            raise InputError(f"{where}: its tensor `{name}` has the shape {others[name][1]}, not {shape}; {cure}")
    if not _same_json(first.folder / "tokenizer.json", other.folder / "tokenizer.json"):
        raise InputError(f"{where}: its tokenizer is another; {cure}")


def _same_json(first: Path, other: Path) -> bool:
    """Whether two files say the same, however they are written."""
    try:
        one, two = first.read_bytes(), other.read_bytes()
        return one == two or bool(json.loads(one) == json.loads(two))
    except OSError as error:
        raise WeightsError(f"cannot read {error.filename}: {error.strerror}", str(error.filename)) from None
    except ValueError:
        return False


def _settings(folder: Path) -> list[Path]:
    """Every file but the weights that belongs to the checkpoint, and nothing that a training run left there."""
    own = [file for file in checkpoint_files(folder) if file.suffix != ".safetensors"]
    return [*own, *(folder / name for name in _ALSO if (folder / name).is_file())]


def _parts(checkpoints: Sequence[Checkpoint]) -> list[_Part]:
    """The weight files of the first, each with those of the others that hold the same tensors."""
    parts = []
    for at, (path, _) in enumerate(checkpoints[0].weights):
        files = [_core.open_safetensors(one.weights[at][0]) for one in checkpoints]
        names = [{name.removeprefix("model."): name for name in file.tensors} for file in files]
        types = {dtype for file in files for dtype, _ in file.tensors.values()}
        dtype = "BF16" if types == {"BF16"} else "F32"
        parts.append(_Part(Path(path).relative_to(checkpoints[0].folder), files, names, dtype))
    return parts


def _write(part: _Part, path: Path) -> Iterator[int]:
    """Write the mean as safetensors; yield the size of each piece."""
    with open(path, "wb") as file:
        file.write(_header(part))
        for name, shape in part.shapes.items():
            yield from _write_tensor(part, name, shape, file)
        file.flush()
        os.fsync(file.fileno())


def _header(part: _Part) -> bytes:
    """Eight bytes of length, then JSON, filled up to a multiple of 8.   Source: the safetensors format"""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in part.shapes.items():
        end = offset + _BYTES[part.dtype] * _count(shape)
        header[part.names[0][name]] = {"dtype": part.dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded


def _write_tensor(part: _Part, name: str, shape: list[int], file: BinaryIO) -> Iterator[int]:
    step = max(_NUMBERS // max(_count(shape[1:]), 1), 1)
    for begin in range(0, shape[0], step):
        end = min(begin + step, shape[0])
        total: npt.NDArray[np.float64] | None = None
        for source, names in zip(part.files, part.names, strict=True):
            rows = source.read(names[name], "F32", begin, end).view(np.float32).astype(np.float64)
            if not np.isfinite(rows).all():
                raise WeightsError(f"tensor `{name}` of {source.path} holds NaN or infinity: leave it out", source.path)
            total = rows if total is None else total + rows
        assert total is not None
        mean = (total / len(part.files)).astype("<f4")
        piece = mean.tobytes() if part.dtype == "F32" else _bfloat16(mean).tobytes()
        file.write(piece)
        yield len(piece)


def _bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Bit patterns of finite values, rounded to nearest even."""
    bits = values.view(np.uint32)
    return np.asarray((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, np.dtype("<u2"))


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))
