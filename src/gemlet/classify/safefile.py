"""A head and what it needs to be used ↔ one safe file.   (settings, arrays ↔ bytes)

The layout is safetensors': 8 bytes with the header's length, the header in JSON, then float32 numbers, least byte
first. No code is in it and none is run when it is read. The settings lie in the header's "__metadata__", beside the
SHA-256 of settings and numbers.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gemlet.dataset import whole_file
from gemlet.errors import InputError
from gemlet.vectors import FloatArray

FORMAT = "gemlet classifier 1"

_LARGEST_HEADER = 1 << 26
_KEYS = ("format", "settings", "sha256")


def write(path: str | os.PathLike[str], settings: dict[str, Any], arrays: Mapping[str, FloatArray]) -> None:
    """Write the file, whole or not at all; one that is there is replaced. Raises InputError where it cannot be."""
    body = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    text = json.dumps(settings, ensure_ascii=False, sort_keys=True)
    header: dict[str, Any] = {"__metadata__": dict(zip(_KEYS, (FORMAT, text, _digest(text, body)), strict=True))}
    begin = 0
    for name, array in arrays.items():
        end = begin + 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with whole_file(os.fspath(path)) as file:
        file.write(len(head).to_bytes(8, "little") + head + body)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Return (settings, arrays). Raises InputError for a file that is missing, no classifier, or not as written."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the classifier {path}: {error.strerror}") from None
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_LARGEST_HEADER, len(data) - 8) or data[8:9] != b"{":
        raise InputError(
            f"{path} is no classifier, or the end of it is missing: name a file that `gemlet classify --save` wrote"
        )
    try:
        header = json.loads(data[8 : 8 + length])
        found, text, digest = (header["__metadata__"][key] for key in _KEYS)
        if found != FORMAT:
            raise InputError(f"{path} is a {found!r}, and this gemlet reads {FORMAT!r}: save it again with this one")
        body = data[8 + length :]
        if digest != _digest(text, body):
            raise ValueError("its bytes are not those that were written")
        return json.loads(text), {name: _array(body, entry) for name, entry in header.items() if name[:2] != "__"}
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from None


def damaged(path: str | os.PathLike[str], reason: object) -> InputError:
    """The error for a file that does not say what a classifier says."""
    return InputError(f"the classifier {os.fspath(path)} is damaged ({reason}): save it again with --save")


def _array(body: bytes, entry: dict[str, Any]) -> FloatArray:
    begin, end = entry["data_offsets"]
    if entry["dtype"] != "F32" or not 0 <= begin <= end <= len(body):
        raise ValueError("its numbers do not lie where it says")
    return np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"]).astype(np.float32)


def _digest(text: str, body: bytes) -> str:
    return hashlib.sha256(text.encode() + b"\0" + body).hexdigest()
