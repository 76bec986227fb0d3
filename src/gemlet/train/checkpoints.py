"""A run's folder: checkpoints that are whole or not there, and which of them to go on from.   (folder → Checkpoint)

    FOLDER.run/
      settings.json     what the run was begun with
      curve.jsonl       a line for each step and each look at the held-out rows
      teacher/          vectors, where a model makes them
      checkpoint-120/   what has been learned so far, the optimizer, the schedule, the random numbers; seal.json

A checkpoint is written under another name, then sealed with the length and the checksum of each file, then renamed.
"""

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet.errors import InputError, TrainingError

_NAME = re.compile(r"checkpoint-(\d+)")
_SEAL = "seal.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Found:
    """path, step: of the newest whole checkpoint, or None and 0; damaged: a sentence for each that is not."""

    path: Path | None
    step: int
    damaged: list[str]


def run_folder(output: Path) -> Path:
    """Where a run lives until its result is written."""
    return output.with_name(output.name + ".run")


def find_checkpoint(folder: Path) -> Found:
    """The newest checkpoint whose files are what they were when it was sealed."""
    numbered = {int(match[1]): path for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    damaged: list[str] = []
    for step in sorted(numbered, reverse=True):
        reason = _damage(numbered[step])
        if not reason:
            return Found(numbered[step], step, damaged)
        damaged.append(f"{numbered[step]} is damaged ({reason}) and is not read")
    return Found(None, 0, damaged)


def temporary(folder: Path, step: int) -> Path:
    """The name under which a checkpoint is written; whatever a killed run left there is removed."""
    path = folder / f".checkpoint-{step}"
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def seal(path: Path) -> None:
    """Write down what the files are, and wait until they are on the disk."""
    files = {file.name: {"bytes": file.stat().st_size, "crc32": _crc(file)} for file in sorted(path.iterdir())}
    (path / _SEAL).write_text(json.dumps(files, indent=1), encoding="utf-8")
    for file in path.iterdir():
        _sync(file)
    _sync(path)


def publish(path: Path, step: int, keep: set[int]) -> Path:
    """Give a sealed checkpoint its name; of the older ones the newest stays, and the steps in `keep`."""
    target = path.with_name(f"checkpoint-{step}")
    if target.exists():  # a damaged one, or the same
        shutil.rmtree(target)
    path.rename(target)
    _sync(target.parent)
    older = {int(match[1]): other for other in target.parent.iterdir() if (match := _NAME.fullmatch(other.name))}
    newest = max((one for one in older if one < step), default=step)
    for number in older.keys() - keep - {step, newest}:
        shutil.rmtree(older[number], ignore_errors=True)
    return target


@contextlib.contextmanager
def writing(what: str, folder: Path, going_on: str, begun: Path | None = None) -> Iterator[None]:
    """Turn what fails while something is written into one line.

    going_on  what is not lost, or what to do
    begun     the folder that is being filled: it is taken away again

    Raises TrainingError. torch and safetensors tell of a full disk in exceptions of their own.
    """
    from safetensors import SafetensorError

    try:
        yield
    except BaseException as error:
        reason = _reason(error, folder)
        if begun is not None:
            shutil.rmtree(begun, ignore_errors=True)
        if isinstance(error, OSError | RuntimeError | SafetensorError):
            raise TrainingError(f"cannot write {what} in {folder}: {reason}; {going_on}") from error
        raise


def check_same(folder: Path, begun: dict[str, Any]) -> None:
    """Keep what a run is begun with; or raise InputError if it was begun with something else."""
    path = folder / "settings.json"
    begun = json.loads(json.dumps(begun))
    try:
        before = json.loads(path.read_bytes())
    except FileNotFoundError:
        with writing("the run's settings", folder, "name another --output, or make room"):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(begun, indent=1), encoding="utf-8")
        return
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be read: delete {folder} to begin anew, or name another --output") from None
    for name in dict.fromkeys([*before, *begun]):
        if before.get(name) != begun.get(name):
            raise InputError(
                f"{folder} was begun with {name} {_short(before.get(name))}, not {_short(begun.get(name))}: give the "
                "same to go on, delete it to begin anew, or name another --output"
            )


def _damage(path: Path) -> str:
    try:
        files = json.loads((path / _SEAL).read_bytes())
        for name, said in files.items():
            size = (path / name).stat().st_size
            if size != said["bytes"]:
                return f"{name} has {size:,} bytes, not {said['bytes']:,}"
            if _crc(path / name) != said["crc32"]:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"{_SEAL} cannot be read"
    return ""


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some systems do not sync folders
            raise
    finally:
        os.close(handle)


def _reason(error: BaseException, folder: Path) -> str:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror.lower() if link.errno != 28 else "no room left on the disk"
        link = link.__cause__ or link.__context__
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if (folder.is_dir() and shutil.disk_usage(folder).free < _BLOCK) or "No space left" in text:
        return "no room left on the disk"
    return text


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else text[:77] + "..."
