"""One test for each way a safetensors file can lie, through the whole engine."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemlet import Embedder
from gemlet.errors import ModelError, UnsupportedModel, WeightsError

Header = dict[str, Any]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "copy")


def rewrite(path: Path, change: Callable[[Header, bytes], tuple[Header, bytes]]) -> None:
    """Take the file apart, let `change` lie, put it together."""
    blob = path.read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    header, data = change(json.loads(blob[8 : 8 + length]), blob[8 + length :])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def set_norm(**fields: Any) -> Callable[[Header, bytes], tuple[Header, bytes]]:
    def change(header: Header, data: bytes) -> tuple[Header, bytes]:
        header["norm.weight"] |= fields
        return header, data

    return change


def without(name: str) -> Callable[[Header, bytes], tuple[Header, bytes]]:
    """Leave a tensor out, bytes and all, so that the file itself is well-formed."""

    def change(header: Header, data: bytes) -> tuple[Header, bytes]:
        begin, end = header.pop(name)["data_offsets"]
        for entry in header.values():
            if "data_offsets" in entry and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [at - (end - begin) for at in entry["data_offsets"]]
        return header, data[:begin] + data[end:]

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (set_norm(dtype="F16"), UnsupportedModel, "dtype `F16`"),
        (set_norm(dtype="BF16"), WeightsError, "shape that does not fit"),
        (set_norm(shape=[65]), WeightsError, "shape that does not fit"),
        (set_norm(shape=[2**40, 2**40]), WeightsError, "impossible shape"),
        (set_norm(shape=[-64]), WeightsError, "not a size"),
        (set_norm(shape=[64.5]), WeightsError, "not a size"),
        (set_norm(shape="64"), WeightsError, r"expected `\[`"),
        (set_norm(data_offsets=[0, 2**60]), WeightsError, "outside the file"),
        (set_norm(data_offsets=[256, 0]), WeightsError, "outside the file"),
        (set_norm(data_offsets=[0]), WeightsError, "outside the file"),
        (set_norm(data_offsets=[0, 256]), WeightsError, "overlap"),
        (set_norm(extra=1), WeightsError, "unknown key"),
        (lambda h, d: (h, d + b"more"), WeightsError, "behind the last tensor"),
        (lambda h, d: (h, d[:-4]), WeightsError, "outside the file"),
        (lambda h, d: ([], d), WeightsError, "expected `{`"),
        (without("norm.weight"), WeightsError, "no tensor `norm.weight`"),
        (without("layers.1.mlp.up_proj.weight"), WeightsError, "no tensor `layers.1.mlp.up_proj.weight`"),
    ],
)
def test_lies(folder: Path, change: Any, error: type[ModelError], message: str) -> None:
    rewrite(folder / "model.safetensors", change)
    with pytest.raises(error, match=message) as caught:
        Embedder(folder)
    assert "\n" not in str(caught.value)


def test_a_hole_is_refused(folder: Path) -> None:
    def change(header: Header, data: bytes) -> tuple[Header, bytes]:
        last = max((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"][0])
        begin, end = header[last]["data_offsets"]
        header[last]["data_offsets"] = [begin + 4, end + 4]
        return header, data[:begin] + b"hole" + data[begin:]

    rewrite(folder / "model.safetensors", change)
    with pytest.raises(WeightsError, match="hole between tensors"):
        Embedder(folder)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, 5000])
def test_truncated(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError):
        Embedder(folder)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**8, 10**6])
def test_a_header_longer_than_the_file(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(WeightsError, match="longer than the file"):
        Embedder(folder)


def test_the_same_name_twice(folder: Path) -> None:
    path = folder / "2_Dense" / "model.safetensors"
    blob = path.read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    text = blob[8 : 8 + length].strip()
    entry = json.dumps(json.loads(text)["linear.weight"]).encode()
    text = text[:-1] + b', "linear.weight": ' + entry + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob[8 + length :])
    with pytest.raises(WeightsError, match="twice"):
        Embedder(folder)


def test_the_same_key_twice(folder: Path) -> None:
    path = folder / "2_Dense" / "model.safetensors"
    blob = path.read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    text = blob[8 : 8 + length].strip().replace(b'"dtype"', b'"dtype": "F32", "dtype"', 1)
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob[8 + length :])
    with pytest.raises(WeightsError, match="the key is there twice"):
        Embedder(folder)


def test_every_flipped_header_byte_is_survived(folder: Path) -> None:
    path = folder / "2_Dense" / "model.safetensors"
    blob = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", blob[:8])
    for at in range(8 + length):
        for bit in (0, 3, 7):
            blob[at] ^= 1 << bit
            path.write_bytes(blob)
            try:
                Embedder(folder)  # a flip in white space or metadata may do no harm
            except ModelError as error:
                assert "\n" not in str(error)
            blob[at] ^= 1 << bit


def test_weights_that_are_not_finite_are_noticed(folder: Path) -> None:
    def change(header: Header, data: bytes) -> tuple[Header, bytes]:
        begin, _ = header["norm.weight"]["data_offsets"]
        return header, data[:begin] + struct.pack("<f", float("nan")) + data[begin + 4 :]

    rewrite(folder / "model.safetensors", change)
    with pytest.raises(Exception, match=r"text 0 is not finite: tensor `norm\.weight` of") as caught:
        Embedder(folder).encode(["a", "b"])
    assert type(caught.value).__name__ == "OutputError"


def test_what_the_formats_own_library_writes_is_read(folder: Path, tiny: Embedder) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    save_file({f"model.{name}": tensor for name, tensor in load_file(path).items()}, path, {"format": "np"})
    assert np.array_equal(Embedder(folder).encode("a text"), tiny.encode("a text"))


def test_a_file_that_shrinks_under_a_running_engine_is_an_error(folder: Path) -> None:
    embedder = Embedder(folder, quantization="f32", threads=2)
    embedder.encode("a text")
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(100)
    with pytest.raises(WeightsError, match=r"model\.safetensors: it has become shorter since it was opened"):
        embedder.encode("a text")
