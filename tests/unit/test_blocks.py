"""ggml's blocks: each type against its formula in NumPy, and how little the written ones lose."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gemlet import Embedder, _core
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import UnsupportedModel, WeightsError
from gemlet.gguf import WeightType, _tensors, write_gguf

F64 = NDArray[np.float64]
Bytes = NDArray[np.uint8]
UNEVEN = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])


def half(b: Bytes, at: int) -> F64:
    """[blocks, 1]"""
    return b[:, at : at + 2].copy().view("<f2").astype(np.float64)


def spread(b: Bytes, run: int, bits: int) -> NDArray[np.int64]:
    """Bytes that are shared by 8 / bits runs of numbers: in each `run` bytes the lowest bits are the first run's."""
    parts = b.reshape(len(b), -1, 1, run) >> np.arange(0, 8, bits)[:, None] & ((1 << bits) - 1)
    return parts.reshape(len(b), -1).astype(np.int64)


def bits_of(b: Bytes) -> NDArray[np.int64]:
    """Bit i of little-endian bytes is number i's."""
    return np.unpackbits(b, axis=1, bitorder="little").astype(np.int64)


def parts_of_6_bits(b: Bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """12 bytes → 8 scales and 8 offsets."""
    a = b.astype(np.int64)
    scales = np.concatenate([a[:, :4] & 63, a[:, 8:] & 15 | a[:, :4] >> 6 << 4], axis=1)
    offsets = np.concatenate([a[:, 4:8] & 63, a[:, 8:] >> 4 | a[:, 4:8] >> 6 << 4], axis=1)
    return scales, offsets


def q4_0(b: Bytes) -> F64:
    return half(b, 0) * (spread(b[:, 2:], 16, 4) - 8)


def q4_1(b: Bytes) -> F64:
    return half(b, 0) * spread(b[:, 4:], 16, 4) + half(b, 2)


def q5_0(b: Bytes) -> F64:
    return half(b, 0) * (spread(b[:, 6:], 16, 4) + 16 * bits_of(b[:, 2:6]) - 16)


def q5_1(b: Bytes) -> F64:
    return half(b, 0) * (spread(b[:, 8:], 16, 4) + 16 * bits_of(b[:, 4:8])) + half(b, 2)


def q8_0(b: Bytes) -> F64:
    return half(b, 0) * b[:, 2:].view(np.int8)


def q2_k(b: Bytes) -> F64:
    scales = np.repeat(b[:, :16].astype(np.int64), 16, axis=1)
    return half(b, 80) * ((scales & 15) * spread(b[:, 16:80], 32, 2)) - half(b, 82) * (scales >> 4)


def q3_k(b: Bytes) -> F64:
    steps = spread(b[:, 32:96], 32, 2) + 4 * spread(b[:, :32], 32, 1) - 4
    scales = spread(b[:, 96:104], 8, 4) + 16 * spread(b[:, 104:108], 4, 2) - 32
    return half(b, 108) * (np.repeat(scales, 16, axis=1) * steps)


def q4_k(b: Bytes) -> F64:
    scales, offsets = (np.repeat(part, 32, axis=1) for part in parts_of_6_bits(b[:, 4:16]))
    return half(b, 0) * (scales * spread(b[:, 16:], 32, 4)) - half(b, 2) * offsets


def q5_k(b: Bytes) -> F64:
    scales, offsets = (np.repeat(part, 32, axis=1) for part in parts_of_6_bits(b[:, 4:16]))
    steps = spread(b[:, 48:], 32, 4) + 16 * spread(b[:, 16:48], 32, 1)
    return half(b, 0) * (scales * steps) - half(b, 2) * offsets


def q6_k(b: Bytes) -> F64:
    steps = spread(b[:, :128], 64, 4) + 16 * spread(b[:, 128:192], 32, 2) - 32
    return half(b, 208) * (np.repeat(b[:, 192:208].view(np.int8).astype(np.int64), 16, axis=1) * steps)


def iq4_nl(b: Bytes) -> F64:
    return half(b, 0) * UNEVEN[spread(b[:, 2:], 16, 4)]


def iq4_xs(b: Bytes) -> F64:
    high = b[:, 2:4].copy().view("<u2").astype(np.int64) >> np.arange(0, 16, 2) & 3
    scales = spread(b[:, 4:8], 1, 4) + 16 * high - 32
    return half(b, 0) * (np.repeat(scales, 32, axis=1) * UNEVEN[spread(b[:, 8:], 16, 4)])


# Name → number in the file, bytes of a block, where its half-precision scales lie, formula.
TYPES: dict[str, tuple[int, int, tuple[int, ...], Callable[[Bytes], F64]]] = {
    "Q4_0": (2, 18, (0,), q4_0),
    "Q4_1": (3, 20, (0, 2), q4_1),
    "Q5_0": (6, 22, (0,), q5_0),
    "Q5_1": (7, 24, (0, 2), q5_1),
    "Q8_0": (8, 34, (0,), q8_0),
    "Q2_K": (10, 84, (80, 82), q2_k),
    "Q3_K": (11, 110, (108,), q3_k),
    "Q4_K": (12, 144, (0, 2), q4_k),
    "Q5_K": (13, 176, (0, 2), q5_k),
    "Q6_K": (14, 210, (208,), q6_k),
    "IQ4_NL": (20, 18, (0,), iq4_nl),
    "IQ4_XS": (23, 136, (0,), iq4_xs),
}
SMALL = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL")  # of 32 numbers; the others are of 256


def random_blocks(name: str, count: int) -> Bytes:
    """Any bytes, with finite scales."""
    _, size, scales, _ = TYPES[name]
    rng = np.random.default_rng(size)
    blocks = rng.integers(0, 256, (count, size), np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = rng.normal(0, 0.1, (count, 1)).astype("<f2").view(np.uint8)
    return blocks


def one_tensor_gguf(path: Path, type_number: int, dims: list[int], data: bytes) -> _core.Gguf:
    """A file with a dense head of two numbers and one tensor, `blk.0.attn_q.weight`."""
    tensors = [("dense_2", [1], 0, bytes(4)), ("dense_3", [1], 0, bytes(4)), ("blk.0.attn_q", dims, type_number, data)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("gemma-embedding")
    for i, (name, extents, number, _) in enumerate(tensors):
        head += text(f"{name}.weight") + struct.pack(f"<I{len(extents)}Q", len(extents), *extents)
        head += struct.pack("<IQ", number, 32 * i)
    body = b"".join(part + bytes(-len(part) % 32) for *_, part in tensors[:-1]) + tensors[-1][-1]
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return _core.Gguf.open(str(path))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


ONE = "layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_read_by_its_formula(tmp_path: Path, name: str) -> None:
    number, _, _, formula = TYPES[name]
    blocks = random_blocks(name, 24)
    width = 64 if name in SMALL else 512
    gguf = one_tensor_gguf(tmp_path / "one.gguf", number, [width, 12], blocks.tobytes())
    assert gguf.tensors[ONE] == (name, [12, width])
    expected = formula(blocks).astype(np.float32).reshape(12, width)
    assert np.array_equal(gguf.read(ONE, "F32", 0, 12).view("<f4").reshape(12, width), expected)
    assert np.array_equal(gguf.read(ONE, "F32", 5, 7).view("<f4").reshape(2, width), expected[5:7])


@pytest.mark.parametrize("name", TYPES)
def test_a_cut_tensor_a_broken_row_and_a_lying_size(tmp_path: Path, name: str) -> None:
    number, size, _, _ = TYPES[name]
    block = 32 if name in SMALL else 256
    path = tmp_path / "lie.gguf"
    with pytest.raises(WeightsError, match=r"`blk.0.attn_q.weight` lies outside the file.*fetch or write it again"):
        one_tensor_gguf(path, number, [block, 2], bytes(2 * size - 1))
    with pytest.raises(WeightsError, match=f"rows of {block + 1}, which are no whole blocks of {block}, as {name}"):
        one_tensor_gguf(path, number, [block + 1, 2], bytes(3 * size))
    with pytest.raises(WeightsError, match="lies outside the file"):
        one_tensor_gguf(path, number, [block, 2**40], bytes(2 * size))
    with pytest.raises(WeightsError, match="impossible shape"):
        one_tensor_gguf(path, number, [block * 2**31, 2**31], bytes(2 * size))


def loss(x: NDArray[np.float32], back: F64) -> float:
    return float(np.linalg.norm(x - back) / np.linalg.norm(x))


def written(tmp_path: Path, x: NDArray[np.float32], name: str) -> tuple[Bytes, F64]:
    from tiny_model import write_safetensors

    write_safetensors(tmp_path / "one.safetensors", {"w": x}, "F32")
    file = _core.open_safetensors(str(tmp_path / "one.safetensors"))
    blocks = file.read("w", name, 0, len(x)).reshape(-1, TYPES[name][1])
    return blocks, TYPES[name][3](blocks).reshape(x.shape)


@pytest.mark.parametrize("scale", [1.0, 0.03, 1e5])
@pytest.mark.parametrize(("name", "most"), [("Q4_0", 0.0885), ("Q5_K", 0.038), ("Q6_K", 0.0185), ("Q8_0", 0.0055)])
def test_what_is_written_loses_little(tmp_path: Path, name: str, most: float, scale: float) -> None:
    rng = np.random.default_rng(2)
    x = (rng.normal(0, scale, (64, 512))).astype(np.float32)
    x = np.clip(x, -3e5, 3e5)
    assert loss(x, written(tmp_path, x, name)[1]) < most


def test_parts_of_a_super_block_have_scales_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (8, 256)) * np.repeat(np.geomspace(0.2, 1, 16), 16)
    x = x.astype(np.float32)
    back = written(tmp_path, x, "Q6_K")[1]
    for part in range(16):
        numbers = slice(16 * part, 16 * part + 16)
        assert loss(x[:, numbers], back[:, numbers]) < 0.025


@pytest.mark.parametrize("name", ["Q4_0", "Q5_K", "Q6_K"])
def test_zeros_and_tiny_numbers_become_zeros(tmp_path: Path, name: str) -> None:
    x = np.zeros((4, 256), np.float32)
    x[1], x[2], x[3, ::2] = 1e-40, -1e-12, 1e-30
    assert not written(tmp_path, x, name)[1].any()


@pytest.mark.parametrize("name", ["Q4_0", "Q5_K", "Q6_K", "Q8_0"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e8, 3.4e38])
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str, value: float) -> None:
    x = np.ones((2, 512), np.float32)
    x[1, 300] = value
    with pytest.raises(WeightsError, match=f"holds a number that {name} cannot: infinite, NaN or too large"):
        written(tmp_path, x, name)


def test_rows_that_are_no_whole_super_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="rows of 128, no whole blocks of Q6_K"):
        written(tmp_path, np.ones((4, 128), np.float32), "Q6_K")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose rows are whole super-blocks, in f32."""
    from tiny_model import write_tiny_checkpoint

    folder = tmp_path_factory.mktemp("wide")
    sizes = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 128, "num_attention_heads": 2}
    write_tiny_checkpoint(folder / "checkpoint", **sizes, query_pre_attn_scalar=128)
    write_gguf(folder / "checkpoint", folder / "wide.gguf", dtype="f32")
    return folder / "wide.gguf"


@pytest.mark.parametrize("dtype", ["q4_0", "mixed"])
def test_a_file_of_4_bits_has_a_table_of_5(wide: Path, dtype: WeightType) -> None:
    tensors = _tensors(read_checkpoint(wide.parent / "checkpoint"), dtype, None)
    assert {tensor.name: tensor.dtype for tensor in tensors}["token_embd.weight"] == "Q5_K"


def retyped(source: Path, to: Path, name: str) -> tuple[Path, Path]:
    """Copies of a file whose matrices are random blocks of a type, and the same numbers in F32."""
    from gguf_parts import take_apart

    parts = take_apart(source.read_bytes())
    exact = take_apart(source.read_bytes())
    block = 32 if name in SMALL else 256
    blocks_out, exact_out = b"", b""
    for (_, place), (_, twin) in zip(parts.tensors, exact.tensors, strict=True):
        numbers = int(np.prod(place.dims))
        if len(place.dims) == 1:
            data = plain = parts.data[place.offset : place.offset + 4 * numbers]
        else:
            blocks = random_blocks(name, numbers // block)
            numbers_of = TYPES[name][3](blocks)
            for at in TYPES[name][2]:  # to the size that a matrix of unit gain has
                scale = half(blocks, at) / (numbers_of.std() * np.sqrt(place.dims[0]))
                blocks[:, at : at + 2] = scale.astype("<f2").view(np.uint8)
            data, plain = blocks.tobytes(), TYPES[name][3](blocks).astype("<f4").tobytes()
            place.type = TYPES[name][0]
        place.offset, twin.offset = len(blocks_out), len(exact_out)
        blocks_out += data + bytes(-len(data) % 32)
        exact_out += plain + bytes(-len(plain) % 32)
    parts.data, exact.data = blocks_out, exact_out
    (to / "blocks.gguf").write_bytes(parts.join())
    (to / "exact.gguf").write_bytes(exact.join())
    return to / "blocks.gguf", to / "exact.gguf"


@pytest.mark.parametrize("name", TYPES)
def test_a_model_of_a_type_runs_in_8_bits(wide: Path, tmp_path: Path, name: str) -> None:
    blocks, exact = (Embedder(path, threads=1) for path in retyped(wide, tmp_path, name))
    assert (blocks.quantization, exact.quantization) == (name.lower(), "f32")
    texts = ["a text", "another, a longer one"]
    cosines = (blocks.encode(texts) * exact.encode(texts)).sum(axis=1)
    assert cosines.min() > 0.999
