"""A checkpoint's folder → one .gguf file.   (Checkpoint → the file that is mapped at run time)

The file is what llama.cpp's converter writes of EmbeddingGemma with its dense modules: the same keys, tensors and
tokens. What that format has no key for stands under `gemlet.`. See docs/concepts/formats.md.
"""

import hashlib
import json
import os
import shutil
import struct
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.balance import UNCHANGED, Factors, balance
from gemlet.checkpoint import Checkpoint, read_checkpoint
from gemlet.errors import InputError, ModelError, UnsupportedModel, WeightsError
from gemlet.feedback import round_with_feedback

WeightType = Literal["q8_0", "q4_0", "mixed", "f32", "bf16"]
TableType = Literal["q8_0", "q6_k", "q5_k", "q4_0", "f32", "bf16"]
Progress = Callable[[int, int], None]

ARCHITECTURE = "gemma-embedding"
ALIGNMENT = 32
BLOCK_ALIGNMENT = 64
PACKED, TABLES = "gemlet.packed_matrices", "gemlet.tokenizer_tables"
PACKED_HEAD = 64  # bytes before the packed matrices
FILE_TYPES = {"f32": 0, "q4_0": 2, "mixed": 2, "q8_0": 7, "bf16": 32}  # Source: llama.cpp, enum llama_ftype
TENSOR_TYPES = {"F32": 0, "Q4_0": 2, "Q8_0": 8, "Q5_K": 13, "Q6_K": 14, "BF16": 30}  # Source: ggml.h, enum ggml_type
# Numbers in a unit, bytes of it.
UNITS = {"F32": (1, 4), "Q4_0": (32, 18), "Q8_0": (32, 34), "Q5_K": (256, 176), "Q6_K": (256, 210), "BF16": (1, 2)}

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}

_BLOCK_BYTES = 8 << 20
"""Written at a time, about."""

_ROUNDING = 0.95
"""Of the time that 4 bits take goes into rounding them."""

_MOST_THREADS = 8
"""More would only wait for the disk, and hold two blocks each."""

_SPARE_BYTES = 16 << 20
"""Asked for on top of the file, so that writing it does not leave the disk with nothing."""


@dataclass(frozen=True)
class _Tensor:
    """One tensor on its way: where its numbers come from, and what they become. A norm w becomes 1 + w."""

    name: str
    file: _core.WeightFile
    source: str
    shape: list[int]
    dtype: str
    factors: Factors = UNCHANGED
    rounded: npt.NDArray[np.uint8] | None = None  # its bytes, where rounding has been done already

    @property
    def row_bytes(self) -> int:
        width = 1 if len(self.shape) == 1 else self.shape[-1]
        numbers, size = UNITS[self.dtype]
        return width // numbers * size

    @property
    def size(self) -> int:
        return self.shape[0] * self.row_bytes

    @property
    def padding(self) -> int:
        return -self.size % ALIGNMENT

    def parts(self) -> Iterator[Callable[[], Any]]:
        """What gives its bytes, a part at a time."""
        if self.rounded is not None:
            yield self.rounded.tobytes
            yield partial(bytes, self.padding)
            return
        rows = max(1, _BLOCK_BYTES // self.row_bytes)
        add = 1.0 if len(self.shape) == 1 else 0.0
        for begin in range(0, self.shape[0], rows):
            end = min(begin + rows, self.shape[0])
            yield partial(
                self.file.read,
                self.source,
                self.dtype,
                begin,
                end,
                add,
                rows=self.factors.rows,
                columns=self.factors.columns,
            )
        yield partial(bytes, self.padding)

    def packing(self, dtype: str) -> Callable[[], Any]:
        """What gives it as the kernels multiply it."""
        return partial(self.file.pack, self.source, dtype, rows=self.factors.rows, columns=self.factors.columns)


@dataclass(frozen=True)
class _Block:
    """Bytes of our own behind the tensors; a key of the metadata says where."""

    key: str
    size: int
    parts: list[Callable[[], Any]]


def write_gguf(
    folder: Path,
    path: Path,
    *,
    dtype: WeightType = "q8_0",
    table: TableType | None = None,
    name: str | None = None,
    source_sha256: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the checkpoint in `folder` to `path`, whole or not at all.

    dtype          of the matrices; norms are always F32
    table          of the token embeddings; None: `dtype`; for q4_0 and mixed "q5_k", as 4 bits lose four times as much
    name           goes into the file as general.name; None: the folder's name
    source_sha256  digest of model.safetensors, for a caller that knows it; None: it is computed
    progress       called with (bytes written, bytes in all)

    Raises InputError for an argument, WeightsError and UnsupportedModel for the checkpoint, ModelError when the disk
    has no room.
    """
    if dtype not in get_args(WeightType):
        raise InputError(f"dtype is {dtype!r}; possible: {', '.join(get_args(WeightType))}")
    if table not in (None, *get_args(TableType)):
        raise InputError(f"table is {table!r}; possible: {', '.join(get_args(TableType))}")
    if path.suffix != ".gguf":
        raise InputError(f"{path} does not end in .gguf")
    if not folder.is_dir():
        raise InputError(f"{folder} is no checkpoint's folder: a .gguf file is made from the checkpoint itself")
    checkpoint = read_checkpoint(folder)
    tensors = list(_tensors(checkpoint, dtype, table))
    if source_sha256 is None:
        with open(checkpoint.weights[0][0], "rb") as file:
            source_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = _metadata(checkpoint, dtype, name or folder.resolve().name, source_sha256)
    tokenizer, tables = _tokenizer(checkpoint.tokenizer)
    blocks = [_packed(tensors)] if dtype == "q8_0" else []
    blocks.append(tables)
    head, places = _head_and_places(metadata | tokenizer, tensors, blocks)
    total = places[-1] + blocks[-1].size
    _require_space(path.parent, total)
    if dtype == "q8_0":
        if progress:
            progress(0, total)
        tensors = _balanced(tensors, balance(checkpoint, _threads()))
        blocks[0] = _packed(tensors)
    begin = 0.0
    if dtype in ("q4_0", "mixed"):
        begin = _ROUNDING
        tensors = _rounded(
            tensors, checkpoint, dtype == "mixed", lambda done, of: _report(progress, total, begin * done / of)
        )
    _write(
        path,
        head,
        tensors,
        blocks,
        places,
        lambda done: _report(progress, total, begin + (1 - begin) * done / total),
    )


def _report(progress: Progress | None, total: int, share: float) -> None:
    if progress:
        progress(round(share * total), total)


def _tensors(checkpoint: Checkpoint, dtype: WeightType, table: TableType | None) -> Iterator[_Tensor]:
    """Every tensor of the model, in the order of the file."""
    (body, _), *dense = [(_core.open_safetensors(file), prefix) for file, prefix in checkpoint.weights]
    if len(dense) != 2:
        raise UnsupportedModel(f"the dense head has {len(dense)} layers; GGUF holds two", "dense", len(dense))

    layers = len(checkpoint.config["sliding"])
    in_4_bits = dtype in ("q4_0", "mixed")
    common = "Q4_0" if in_4_bits else dtype.upper()

    def type_of(name: str) -> str:
        if name == "token_embd":
            return table.upper() if table else "Q5_K" if in_4_bits else common
        return "Q8_0" if in_4_bits and _is_in_8_bits(name, dtype, layers) else common

    def tensor(name: str, file: _core.WeightFile, source: str) -> _Tensor:
        source = source if source in file.tensors else f"model.{source}"
        if source not in file.tensors:
            raise WeightsError(f"{file.path}: it has no tensor `{source.removeprefix('model.')}`", file.path)
        shape = file.tensors[source][1]
        return _Tensor(f"{name}.weight", file, source, shape, type_of(name) if len(shape) > 1 else "F32")

    yield tensor("dense_2", dense[0][0], "linear.weight")
    yield tensor("dense_3", dense[1][0], "linear.weight")
    yield _fitting(tensor("token_embd", body, "embed_tokens.weight"), checkpoint.config["vocab_size"], table)
    for layer in range(layers):
        for ours, theirs in LAYER_NAMES.items():
            yield tensor(f"blk.{layer}.{ours}", body, f"layers.{layer}.{theirs}.weight")
    yield tensor("output_norm", body, "norm.weight")


def _fitting(embeddings: _Tensor, pieces: int, table: TableType | None) -> _Tensor:
    """The table, checked; without `table` in 8 bits where its rows are no whole blocks of the type."""
    rows, width = embeddings.shape
    if rows != pieces:  # the file has no key for it, only the table
        path = embeddings.file.path
        raise WeightsError(f"{path}: embed_tokens has {rows} rows, vocab_size is {pieces}", path)
    numbers, _ = UNITS[embeddings.dtype]
    if width % numbers == 0:
        return embeddings
    if table:
        raise InputError(f"table is {table!r}, of blocks of {numbers}; its rows of {width} are no multiple")
    return replace(embeddings, dtype="Q8_0")


def _is_in_8_bits(name: str, dtype: WeightType, layers: int) -> bool:
    """Is a matrix of a file of 4 bits among those that would lose most?

    The dense head; in "mixed" attention, as the publisher has it (model card, e4_a8_f4_p4), else what all heads share
    and what a layer writes; and the first layers, where a few kinds of text lose ten times as much as others.
    """
    if name.startswith("dense"):
        return True
    _, layer, matrix = name.split(".")
    if matrix.startswith("ffn_") and int(layer) < layers // 6:
        return True
    if dtype == "mixed":
        return matrix.startswith("attn_")
    return int(layer) < layers // 12 or matrix in ("attn_v", "ffn_down")


def _rounded(
    tensors: list[_Tensor], checkpoint: Checkpoint, whole_rows: bool, progress: Progress | None
) -> list[_Tensor]:
    """The tensors with the layers' matrices rounded so that errors make up for each other."""
    names = [tensor.source.removeprefix("model.") for tensor in tensors]
    rounded = round_with_feedback(checkpoint, _matrices(tensors), whole_rows=whole_rows, progress=progress)
    return [replace(tensor, rounded=rounded.get(name)) for name, tensor in zip(names, tensors, strict=True)]


def matrix_types(checkpoint: Checkpoint, dtype: WeightType) -> dict[str, str]:
    """The type that a file of `dtype` has for each matrix of the layers, by its name in the checkpoint."""
    return _matrices(list(_tensors(checkpoint, dtype, None)))


def _matrices(tensors: list[_Tensor]) -> dict[str, str]:
    layers = [tensor for tensor in tensors if tensor.name.startswith("blk.") and len(tensor.shape) == 2]
    return {tensor.source.removeprefix("model."): tensor.dtype for tensor in layers}


def _balanced(tensors: list[_Tensor], factors: dict[str, Factors]) -> list[_Tensor]:
    """The tensors of the same model in which each channel is as easy to round as it gets."""
    names = [tensor.source.removeprefix("model.") for tensor in tensors]
    return [replace(tensor, factors=factors.get(name, UNCHANGED)) for name, tensor in zip(names, tensors, strict=True)]


def _metadata(checkpoint: Checkpoint, dtype: WeightType, name: str, source_sha256: str) -> dict[str, bytes]:
    """Key → its value, encoded with its type."""
    config = checkpoint.config
    if config["query_pre_attn_scalar"] != config["head_dim"]:
        field, value = "query_pre_attn_scalar", config["query_pre_attn_scalar"]
        raise UnsupportedModel(f"{field} is {value}; GGUF has no key for it and takes head_dim", field, value)
    model: dict[str, bytes] = {
        "block_count": _u32(len(config["sliding"])),
        "context_length": _u32(config["max_position_embeddings"]),
        "embedding_length": _u32(config["hidden_size"]),
        "feed_forward_length": _u32(config["intermediate_size"]),
        "attention.head_count": _u32(config["num_attention_heads"]),
        "attention.head_count_kv": _u32(config["num_key_value_heads"]),
        "rope.freq_base": _f32(config["rope_theta"]),
        "rope.freq_base_swa": _f32(config["rope_local_base_freq"]),
        "attention.layer_norm_rms_epsilon": _f32(config["rms_norm_eps"]),
        "attention.key_length": _u32(config["head_dim"]),
        "attention.value_length": _u32(config["head_dim"]),
        "attention.sliding_window": _u32(2 * config["window"]),
        "dense_2_feat_in": _u32(config["hidden_size"]),
        "dense_2_feat_out": _u32(config["dense"][0]),
        "dense_3_feat_in": _u32(config["dense"][0]),
        "dense_3_feat_out": _u32(config["dense"][1]),
        "pooling_type": _u32(1),  # the mean
    }
    if config["sliding"] != [(i + 1) % 6 != 0 for i in range(len(config["sliding"]))]:
        model["attention.sliding_window_pattern"] = _array(7, bytes(config["sliding"]), len(config["sliding"]))
    return {
        "general.architecture": _string(ARCHITECTURE),
        "general.type": _string("model"),
        "general.name": _string(name),
        "general.license": _string("gemma"),
        "general.file_type": _u32(FILE_TYPES[dtype]),
        "general.quantization_version": _u32(2),
        **{f"{ARCHITECTURE}.{key}": value for key, value in model.items()},
        "gemlet.prompts": _string(json.dumps(checkpoint.prompts, ensure_ascii=False)),
        "gemlet.max_seq_length": _u32(checkpoint.max_seq_length),
        "gemlet.source_sha256": _string(source_sha256),
    }


def _packed(tensors: list[_Tensor]) -> _Block:
    """The matrices as the engine multiplies them, from the checkpoint's own numbers.

    Packed from the blocks of 32 that the file holds, they would be rounded twice. See native/model/packed.h.
    """
    layers = [tensor for tensor in tensors if tensor.name.startswith("blk.") and len(tensor.shape) == 2]
    dense = [tensor for tensor in tensors if tensor.name.startswith("dense_")]
    matrices = [*((layer, "int8") for layer in layers), *((part, "bf16") for part in dense)]
    size = sum(matrix.file.packed_size(matrix.source, dtype) for matrix, dtype in matrices)
    packing = [matrix.packing(dtype) for matrix, dtype in matrices]
    return _Block(PACKED, PACKED_HEAD + size, [partial(bytes, PACKED_HEAD), *packing])


def _tokenizer(tokenizer: _core.Tokenizer) -> tuple[dict[str, bytes], _Block]:
    """(key → value, the tables).

    An array in the metadata would hold the tables as well, but readers in Python and JavaScript make an object of each
    of its 14 million elements.
    """
    tokens, scores, types, outside, tables = _core.token_arrays(tokenizer)
    named = {"unknown": tokenizer.piece_to_id("<unk>"), "padding": tokenizer.piece_to_id("<pad>")}
    values = {
        "model": _string("llama"),
        "pre": _string("default"),
        "tokens": _array(8, tokens, tokenizer.vocab_size),
        "scores": _array(6, scores, tokenizer.vocab_size),
        "token_type": _array(5, types, tokenizer.vocab_size),
        "bos_token_id": _u32(tokenizer.bos),
        "eos_token_id": _u32(tokenizer.eos),
        **{f"{key}_token_id": _u32(value) for key, value in named.items() if value is not None},
        "add_bos_token": _bool(True),
        "add_eos_token": _bool(True),
        "add_sep_token": _bool(False),
        "add_space_prefix": _bool(False),
    }
    encoded = {f"tokenizer.ggml.{key}": value for key, value in values.items()}
    if outside:
        encoded["gemlet.tokens_outside"] = _array(8, b"".join(_text(piece) for piece in outside), len(outside))
    return encoded, _Block(TABLES, len(tables), [lambda: tables])


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _u32(value: int) -> bytes:
    return struct.pack("<II", 4, value)


def _u64(value: int) -> bytes:
    return struct.pack("<IQ", 10, value)


def _f32(value: float) -> bytes:
    return struct.pack("<If", 6, value)


def _bool(value: bool) -> bytes:
    return struct.pack("<IB", 7, value)


def _string(value: str) -> bytes:
    return struct.pack("<I", 8) + _text(value)


def _array(element: int, data: bytes, count: int) -> bytes:
    return struct.pack("<IIQ", 9, element, count) + data


def _head_and_places(
    metadata: dict[str, bytes], tensors: list[_Tensor], blocks: list[_Block]
) -> tuple[bytes, list[int]]:
    """(everything before the data, where in the file each block begins); its keys count from where the data do."""
    data = len(_head(metadata | {block.key: _u64(0) for block in blocks}, tensors))
    end = data + sum(tensor.size + tensor.padding for tensor in tensors)
    places = []
    for block in blocks:
        places.append(end + -end % BLOCK_ALIGNMENT)
        end = places[-1] + block.size
    offsets = {block.key: _u64(place - data) for block, place in zip(blocks, places, strict=True)}
    return _head(metadata | offsets, tensors), places


def _head(metadata: dict[str, bytes], tensors: list[_Tensor]) -> bytes:
    """Everything before the data, padded."""
    parts = [b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    parts += [_text(key) + value for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        shape = tensor.shape[::-1]  # ggml counts the innermost dimension first
        place = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, TENSOR_TYPES[tensor.dtype], offset)
        parts.append(_text(tensor.name) + place)
        offset += tensor.size + tensor.padding
    head = b"".join(parts)
    return head + bytes(-len(head) % ALIGNMENT)


def _require_space(folder: Path, size: int) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: make it first")
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise ModelError(f"not enough disk space in {folder}: {size + _SPARE_BYTES:,} bytes needed, {free:,} free")


def _write(
    path: Path,
    head: bytes,
    tensors: list[_Tensor],
    blocks: list[_Block],
    places: list[int],
    progress: Callable[[int], Any],
) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(head)
            for part in _ahead(chain.from_iterable(tensor.parts() for tensor in tensors)):
                file.write(part)
                progress(file.tell())
            for block, place in zip(blocks, places, strict=True):
                file.write(bytes(place - file.tell()))
                for part in _ahead(iter(block.parts)):
                    file.write(part)
                    progress(file.tell())
            file.flush()
            if blocks[0].key == PACKED:  # its head speaks of the tensors as a reader finds them
                file.seek(places[0])
                file.write(_core.Gguf.open(str(temporary)).packed_head())
                file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if sys.platform == "win32":  # it keeps the names of files by itself, and opens no folder
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _threads() -> int:
    return min(os.cpu_count() or 1, _MOST_THREADS)


def _ahead(calls: Iterator[Callable[[], Any]]) -> Iterator[Any]:
    """What the calls return, in their order; while one result is used, threads work on the next ones."""
    threads = _threads()
    executor = ThreadPoolExecutor(threads)
    try:
        waiting = deque(executor.submit(call) for call in islice(calls, 2 * threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(executor.submit(call) for call in islice(calls, 1))
    finally:
        executor.shutdown(cancel_futures=True)
