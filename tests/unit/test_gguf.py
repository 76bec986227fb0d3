"""A written .gguf holds the checkpoint's bits, and reads back as the checkpoint."""

import gc
import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import PROMPTS, write_tiny_checkpoint
from tiny_tokenizer import SIZE, pieces

from gemlet import _core
from gemlet.balance import Factors, balance
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import InputError, ModelError, UnsupportedModel, WeightsError
from gemlet.gguf import LAYER_NAMES, WeightType, write_gguf

TEXTS = [
    "",
    "a text",
    " the  query:\n\n\n\t\t search results</b> ",
    "<unused3><mask>[multimodal]<b>",
    "<eos><bos>the<start_of_turn>",
    "日本語かな ком \U0001f44d\U0001f3fd é é \x00 ▁▁ ▁",
    "aaaaaaaaaaaaaaaaaaaaaaaa haha",
]


@pytest.fixture(scope="module")
def written(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gguf")
    paths = {}
    for dtype in ("f32", "bf16", "q8_0"):
        paths[dtype] = folder / f"tiny-{dtype}.gguf"
        write_gguf(tiny_checkpoint, paths[dtype], dtype=dtype)
    return paths


def checkpoint_tensors(folder: Path) -> dict[str, tuple[_core.WeightFile, str]]:
    """Name in the engine → the file and the name in it."""
    files = [(_core.open_safetensors(file), prefix) for file, prefix in read_checkpoint(folder).weights]
    return {prefix + name: (file, name) for file, prefix in files for name in file.tensors}


def as_f32(file: _core.WeightFile, name: str) -> np.ndarray:
    shape = file.tensors[name][1]
    return file.read(name, "F32", 0, shape[0]).view("<f4").reshape(shape)


def test_f32_keeps_every_bit(tiny_checkpoint: Path, written: dict[str, Path]) -> None:
    gguf = _core.Gguf.open(str(written["f32"]))
    expected = checkpoint_tensors(tiny_checkpoint)
    assert gguf.tensors.keys() == expected.keys()
    for name, (file, source) in expected.items():
        tensor = as_f32(file, source)
        if tensor.ndim == 1:
            tensor = tensor + np.float32(1)  # norms hold 1 + w
        assert np.array_equal(as_f32(gguf, name), tensor), name


@pytest.mark.parametrize("dtype", ["bf16", "q8_0"])
def test_types(written: dict[str, Path], dtype: str) -> None:
    for name, (found, shape) in _core.Gguf.open(str(written[dtype])).tensors.items():
        assert found == ("F32" if len(shape) == 1 else dtype.upper()), name


def test_config_prompts_and_limits_read_back(tiny_checkpoint: Path, written: dict[str, Path]) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    for path in written.values():
        gguf = _core.Gguf.open(str(path))
        config = gguf.config()
        assert config.pop("rms_norm_eps") == np.float32(checkpoint.config["rms_norm_eps"])
        assert config == {k: v for k, v in checkpoint.config.items() if k != "rms_norm_eps"}
        assert json.loads(gguf.metadata["gemlet.prompts"]) == PROMPTS
        assert gguf.metadata["gemlet.max_seq_length"] == 2048
        assert "tokenizer.ggml.tokens" not in gguf.metadata


@pytest.mark.parametrize("parse_control", [False, True])
def test_the_tokenizer_gives_the_same_ids(tiny_checkpoint: Path, written: dict[str, Path], parse_control: bool) -> None:
    ours = _core.Gguf.open(str(written["q8_0"])).tokenizer()
    theirs = _core.Tokenizer.from_json(str(tiny_checkpoint / "tokenizer.json"))
    for mine, other in zip(ours.encode(TEXTS, parse_control), theirs.encode(TEXTS, parse_control), strict=True):
        assert np.array_equal(mine, other)
    assert [ours.id_to_piece(number) for number in range(SIZE)] == pieces()
    assert (ours.bos, ours.eos) == (2, 1)
    with pytest.raises(InputError, match="image_soft_token"):
        ours.encode(["<image_soft_token>"], True)


def test_the_published_tokenizer_gives_the_same_ids(checkpoint: Path, tmp_path: Path) -> None:
    from gemlet.verify import load_goldens

    theirs = _core.Tokenizer.from_json(str(checkpoint / "tokenizer.json"))
    rng = np.random.default_rng(0)
    texts = [golden.prompted for golden in load_goldens()] + TEXTS
    for _ in range(500):  # 20 pieces in a row that nobody would write, with spaces as spaces and as marks
        text = "".join(map(theirs.id_to_piece, rng.integers(0, theirs.vocab_size, 20).tolist()))
        texts += [text, text.replace("▁", " ")]
    path = tmp_path / "published.gguf"
    write_gguf(checkpoint, path, source_sha256="")
    assert private_bytes_of(OPENING, path) < 4 << 20  # the tables are 14 MB, and stay in the file
    assert private_bytes_of(LOADING, path) < 8 << 20  # the packed matrices are 114 MB
    ours = _core.Gguf.open(str(path)).tokenizer()
    hide(path, "gemlet.tokenizer_tables")
    derived = _core.Gguf.open(str(path)).tokenizer()
    assert private_bytes_of(OPENING, path) > 4 << 20
    hide(path, "gemlet.packed_matrices")
    assert private_bytes_of(LOADING, path) > 100 << 20
    for parse_control in (False, True):
        expected = theirs.encode(texts, parse_control)
        for tokenizer in (ours, derived):
            for mine, other in zip(tokenizer.encode(texts, parse_control), expected, strict=True):
                assert np.array_equal(mine, other)
    assert _core.token_arrays(ours) == _core.token_arrays(derived) == _core.token_arrays(theirs)


def hide(path: Path, key: str) -> None:
    """Leave the file as a converter that does not know the key writes it."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        at = content.find(key.encode())
        content[at : at + len(key)] = key[::-1].encode()


OPENING = 'tokenizer = _core.Gguf.open(path).tokenizer(); tokenizer.encode(["a text"], False)'
LOADING = 'model = _core.Model(_core.Gguf.open(path).config(), [(path, "")], "int8", 1)'


def private_bytes_of(doing: str, path: Path) -> int:
    """Memory that no other process shares, which a fresh process takes to do something with the file."""
    script = f"""
import re
from pathlib import Path
import numpy  # which the first array would bring in
from gemlet import _core
def private():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
path = {str(path)!r}
before = private()
{doing}
print(private() - before)
"""
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)


def test_tables_and_deriving_give_one_tokenizer(written: dict[str, Path], tiny_checkpoint: Path) -> None:
    theirs = _core.token_arrays(_core.Tokenizer.from_json(str(tiny_checkpoint / "tokenizer.json")))
    for path in written.values():
        assert _core.token_arrays(_core.Gguf.open(str(path)).tokenizer()) == theirs
        assert path.read_bytes().endswith(theirs[4])


def test_the_file_stays_mapped_as_long_as_its_tokenizer_lives(written: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(written["f32"], tmp_path / "gone.gguf"))
    tokenizer = _core.Gguf.open(str(path)).tokenizer()
    expected = tokenizer.encode(TEXTS, True)[0].tolist()
    path.unlink()
    gc.collect()
    assert tokenizer.encode(TEXTS, True)[0].tolist() == expected
    assert str(path) in Path("/proc/self/maps").read_text()
    del tokenizer
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("parse_control", [False, True])
def test_without_tables_the_ids_are_the_same(written: dict[str, Path], tmp_path: Path, parse_control: bool) -> None:
    for dtype in ("q8_0", "f32"):
        expected = _core.Gguf.open(str(written[dtype])).tokenizer().encode(TEXTS, parse_control)
        path = Path(shutil.copy(written[dtype], tmp_path))
        hide(path, "gemlet.tokenizer_tables")
        for mine, other in zip(
            _core.Gguf.open(str(path)).tokenizer().encode(TEXTS, parse_control), expected, strict=True
        ):
            assert np.array_equal(mine, other)


def reference_q8_0(x: np.ndarray) -> np.ndarray:
    """ggml's rule, by the book, in float32: [n, 32] → [n, 34] uint8."""
    scale = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    scaled = x * inverse
    whole = np.floor(np.abs(scaled))
    rounded = np.sign(scaled) * (whole + (np.abs(scaled) - whole >= 0.5))
    return np.concatenate([scale.astype("<f2").view(np.uint8), rounded.astype(np.int8).view(np.uint8)], axis=1)


def test_q8_0_is_ggmls(tiny_checkpoint: Path, written: dict[str, Path]) -> None:
    gguf = _core.Gguf.open(str(written["q8_0"]))
    balanced = balance(read_checkpoint(tiny_checkpoint), threads=2)
    for name, (file, source) in checkpoint_tensors(tiny_checkpoint).items():
        tensor = as_f32(file, source)
        if tensor.ndim == 1:
            continue
        tensor *= 1 if (factors := balanced.get(name, Factors())).rows is None else factors.rows[:, None]
        tensor *= 1 if factors.columns is None else factors.columns
        blocks = reference_q8_0(tensor.reshape(-1, 32))
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
        values = blocks[:, 2:].copy().view(np.int8).astype(np.float32)
        assert np.array_equal(as_f32(gguf, name).reshape(-1, 32), scales * values), name


@pytest.mark.parametrize("scale", [1.0, 1e-3, 6e-6, 1e-8, 0.0, 8e6])
def test_q8_0_at_every_scale(tmp_path: Path, scale: float) -> None:
    """Subnormal scales of half precision, zero, halves, and nearly too large numbers; against the rule by the book."""
    rng = np.random.default_rng(1)
    x = (rng.uniform(-1, 1, (64, 64)) * scale).astype(np.float32)
    x[0, :32] = np.linspace(-1, 1, 32, dtype=np.float32) * np.float32(scale)
    x[1, :] = np.arange(64, dtype=np.float32) / 2 / 31.5 * np.float32(scale)
    file = one_tensor(tmp_path, x)
    assert np.array_equal(file.read("w", "Q8_0", 0, 64).reshape(-1, 34), reference_q8_0(x.reshape(-1, 32)))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 8.4e6, 3.4e38])
def test_what_q8_0_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    x = np.ones((2, 32), np.float32)
    x[1, 5] = value
    with pytest.raises(WeightsError, match="holds a number"):
        one_tensor(tmp_path, x).read("w", "Q8_0", 0, 2)


def one_tensor(folder: Path, x: np.ndarray) -> _core.WeightFile:
    from tiny_model import write_safetensors

    write_safetensors(folder / "one.safetensors", {"w": x}, "F32")
    return _core.open_safetensors(str(folder / "one.safetensors"))


def test_a_part_is_a_part(written: dict[str, Path]) -> None:
    gguf = _core.Gguf.open(str(written["q8_0"]))
    whole = gguf.read("embed_tokens.weight", "F32", 0, SIZE)
    assert np.array_equal(gguf.read("embed_tokens.weight", "F32", 7, 9), whole[7 * 256 : 9 * 256])
    with pytest.raises(InputError, match="no such rows"):
        gguf.read("embed_tokens.weight", "F32", 0, SIZE + 1)
    with pytest.raises(InputError, match="F32, BF16, Q8_0, Q6_K, Q5_K or Q4_0"):
        gguf.read("embed_tokens.weight", "F16", 0, 1)
    with pytest.raises(WeightsError, match="no tensor `x`"):
        gguf.read("x", "F32", 0, 1)


def test_what_the_formats_own_library_reads(written: dict[str, Path]) -> None:
    reader = pytest.importorskip("gguf").GGUFReader(written["q8_0"])
    names = {f"blk.{layer}.{name}.weight" for layer in range(2) for name in LAYER_NAMES}
    names |= {f"{name}.weight" for name in ("token_embd", "output_norm", "dense_2", "dense_3")}
    assert {tensor.name for tensor in reader.tensors} == names
    assert reader.get_field("tokenizer.ggml.tokens").contents()[:3] == ["<pad>", "<eos>", "<bos>"]
    quantize = pytest.importorskip("gguf.quants").quantize
    stored = next(tensor for tensor in reader.tensors if tensor.name == "dense_2.weight")
    f32 = pytest.importorskip("gguf").GGUFReader(written["f32"])
    exact = next(tensor for tensor in f32.tensors if tensor.name == "dense_2.weight")
    assert np.array_equal(stored.data, quantize(exact.data, stored.tensor_type))


def test_bf16_checkpoints_are_read(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "bf16", dtype="BF16")
    path = tmp_path / "tiny.gguf"
    write_gguf(folder, path, dtype="bf16")
    gguf = _core.Gguf.open(str(path))
    for name, (file, source) in checkpoint_tensors(folder).items():
        tensor = as_f32(file, source)
        assert np.array_equal(as_f32(gguf, name), tensor + np.float32(1) if tensor.ndim == 1 else tensor), name


@pytest.mark.parametrize("dtype", ["q8_0", "f32"])
def test_progress_ends_at_the_files_size(tiny_checkpoint: Path, tmp_path: Path, dtype: WeightType) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "tiny.gguf"
    write_gguf(tiny_checkpoint, path, dtype=dtype, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "q4_k"}, InputError, "'q4_k'; possible: q8_0"),
        ({"table": "q5_0"}, InputError, "table is 'q5_0'; possible: q8_0"),
        ({"table": "q6_k"}, InputError, "blocks of 256; its rows of 64"),
        ({"path": "out.bin"}, InputError, r"does not end in \.gguf"),
        ({"path": "missing/out.gguf"}, InputError, "is no folder"),
    ],
)
def test_arguments(
    tiny_checkpoint: Path, tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = tmp_path / arguments.pop("path", "out.gguf")
    with pytest.raises(error, match=message):
        write_gguf(tiny_checkpoint, path, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_file(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"old")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_gguf(tiny_checkpoint, path, progress=stop)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("", (), {"free": 1000}))
    with pytest.raises(ModelError, match="not enough disk space"):
        write_gguf(tiny_checkpoint, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_scale_that_the_format_cannot_say_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "odd", query_pre_attn_scalar=64)
    with pytest.raises(UnsupportedModel, match="query_pre_attn_scalar is 64"):
        write_gguf(folder, tmp_path / "odd.gguf")


def test_the_tables_of_a_version_never_change(tiny_checkpoint: Path) -> None:
    """A file that is read tomorrow was written yesterday: where this fails, kFormat in tables.cpp must change too."""
    tables = _core.token_arrays(_core.Tokenizer.from_json(str(tiny_checkpoint / "tokenizer.json")))[4]
    assert tables.startswith(b"tktable1")
    assert hashlib.sha256(tables).hexdigest() == "a7e731754f3ae87be2e3ca88ef7f59246b4318f4f96c777c1bfd6b3372f9add5"


IDS, CU_SEQLENS = np.arange(3, 63, dtype=np.int32), np.array([0, 11, 60], np.int32)


def embed(source: Path, storage: str = "int8", isa: str = "") -> np.ndarray:
    settings = read_checkpoint(source)
    return _core.Model(settings.config, settings.weights, storage, 2, isa).embed(IDS, CU_SEQLENS)


def test_packed_matrices_are_rounded_once(tiny_checkpoint: Path, written: dict[str, Path], tmp_path: Path) -> None:
    """Packed from the file's own tensors, which are rounded already, they are further from the truth."""
    copy = Path(shutil.copy(written["q8_0"], tmp_path))
    hide(copy, "gemlet.packed_matrices")
    exact = embed(tiny_checkpoint, "f32")
    once, twice = (np.linalg.norm(embed(path) - exact) for path in (written["q8_0"], copy))
    assert 0 < once < twice


def test_packed_matrices_serve_int8_alone(written: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copy(written["q8_0"], tmp_path))
    hide(copy, "gemlet.packed_matrices")
    for storage in ("f32", "bf16"):
        assert np.array_equal(embed(copy, storage), embed(written["q8_0"], storage))
    for dtype in ("f32", "bf16"):
        assert "gemlet.packed_matrices" not in _core.Gguf.open(str(written[dtype])).metadata


def test_the_packed_matrices_of_a_version_never_change(tmp_path: Path) -> None:
    """As for the tables: where this or the next one fails, kFormat in packed.cpp must change too."""
    numbers = (np.arange(64 * 160, dtype=np.float32) * 37 % 251 - 125) / 64
    file = one_tensor(tmp_path, numbers.reshape(64, 160))
    digests = {dtype: hashlib.sha256(file.pack("w", dtype)).hexdigest()[:16] for dtype in ("int8", "bf16")}
    assert digests == {"int8": "8ae569077ca63ca9", "bf16": "c85c56e8d70e2210"}


def test_the_order_of_the_packed_matrices(tiny_checkpoint: Path, written: dict[str, Path]) -> None:
    tensors = checkpoint_tensors(tiny_checkpoint)
    balanced = balance(read_checkpoint(tiny_checkpoint), threads=2)
    parts = [("self_attn", part) for part in "qkvo"] + [("mlp", part) for part in ("gate", "up", "down")]
    order = [f"layers.{layer}.{group}.{part}_proj.weight" for layer in range(2) for group, part in parts]
    order += ["dense.0.linear.weight", "dense.1.linear.weight"]
    block = b""
    for name in order:
        file, source = tensors.get(f"model.{name}") or tensors[name]
        factors = balanced.get(name, Factors())
        dtype = "bf16" if name.startswith("dense") else "int8"
        block += file.pack(source, dtype, factors.rows, factors.columns).tobytes()
    head = _core.Gguf.open(str(written["q8_0"])).packed_head()
    assert head.startswith(b"packing1")
    content = written["q8_0"].read_bytes()
    begin = content.index(head)
    assert begin % 64 == 0
    assert content[begin : begin + 64 + len(block)] == head + block


def test_every_instruction_set_writes_the_same_file(
    tiny_checkpoint: Path, written: dict[str, Path], isa: str, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    script = "import sys, pathlib, gemlet.gguf; gemlet.gguf.write_gguf(*map(pathlib.Path, sys.argv[1:]))"
    command = [sys.executable, "-c", script, str(tiny_checkpoint), str(path)]
    subprocess.run(command, check=True, env=os.environ | {"GEMLET_ISA": isa})
    assert path.read_bytes() == written["q8_0"].read_bytes()


def test_a_matrix_that_the_kernels_do_not_run_is_not_packed(tmp_path: Path) -> None:
    for shape in ((64, 48), (48, 64), (32, 1184)):
        with pytest.raises(UnsupportedModel, match="`w` is no matrix that the kernels run"):
            one_tensor(tmp_path, np.ones(shape, np.float32)).pack("w", "int8")
    assert one_tensor(tmp_path, np.ones((32, 1184), np.float32)).packed_size("w", "bf16") == 2 * 32 * 1184
    with pytest.raises(UnsupportedModel, match="rows of up to 4096"):
        one_tensor(tmp_path, np.ones((32, 4128), np.float32)).pack("w", "bf16")
    with pytest.raises(UnsupportedModel, match="no matrix"):
        one_tensor(tmp_path, np.ones(64, np.float32)).packed_size("w", "int8")
    with pytest.raises(InputError, match="not as `f32`"):
        one_tensor(tmp_path, np.ones((32, 32), np.float32)).pack("w", "f32")
    with pytest.raises(WeightsError, match="no tensor `x`"):
        one_tensor(tmp_path, np.ones((32, 32), np.float32)).pack("x", "int8")
