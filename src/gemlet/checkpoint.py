"""A Hugging Face folder → what the engine needs to know of it.   (folder → Checkpoint)

Reads the settings of the sentence-transformers layout and refuses what the engine would run wrongly: silence there is
how other ports lose the dense head, the window or the bidirectional mask. Says how the engine will hold the weights,
and what memory that takes.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from gemlet import _core
from gemlet.errors import InputError, UnsupportedModel, WeightsError
from gemlet.prompts import PUBLISHED_PROMPTS

# A query sees the keys at most 256 away. config.json says it as 512 (both sides together); a checkpoint that
# transformers has loaded and saved again says 257 (one side, exclusive).   Source: configuration_gemma3.py
WINDOWS = {512: 256, 257: 256}

# Of a number in a packed matrix, with its share of the scales.   Source: panel_bytes() in native/kernels/
PACKED_BYTES = {"f32": 4.0, "bf16": 2.0, "int8": 1 + 4 / 128, "int4": 0.5 + 2 / 32}

# Measured as peak memory (VmHWM) of fresh processes on Linux.
PROCESS_BYTES = 30_000_000  # Python, NumPy and gemlet, before a model is there
PIECE_BYTES = 64  # for each piece of the vocabulary: the tokenizer's tables, and what is read to check them
# For each token of a text: what one of 2,048 takes more than one of 18, divided. It is the Workspace of
# native/model/workspace.cpp and the angles of Rope: whoever changes prepare() there measures anew.
TOKEN_BYTES = 5_500

_ROWS_CHECKED = 1024  # at a time

Json = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """config: what `_core.Model` takes; weights: (file, prefix of its tensors' names); prompts: name → text."""

    folder: Path
    config: Json
    weights: list[tuple[str, str]]
    prompts: dict[str, str]
    max_seq_length: int
    stored: str = "f32"  # type of the matrices in a .gguf; what a folder holds runs in f32
    gguf: _core.Gguf | None = None

    @property
    def tokenizer(self) -> _core.Tokenizer:
        """The tokenizer, read anew. Raises WeightsError, UnsupportedModel."""
        if self.gguf is not None:
            return self.gguf.tokenizer()
        return _core.Tokenizer.from_json(str(self.folder / "tokenizer.json"))

    @property
    def tensors(self) -> dict[str, tuple[str, list[int]]]:
        """Name → (type, shape), by the engine's names. Raises WeightsError, UnsupportedModel."""
        found: dict[str, tuple[str, list[int]]] = {}
        for file, prefix in self.files():
            found |= {prefix + name.removeprefix("model."): tensor for name, tensor in file.tensors.items()}
        return found

    def damage(self) -> str:
        """Name the first tensor that holds NaN or infinity, and what to do; nothing when there is none.

        Reads every number, which takes seconds: for a message about vectors that are not finite.
        """
        for file, _ in self.files():
            for name, (_, shape) in file.tensors.items():
                for begin in range(0, shape[0], _ROWS_CHECKED):
                    rows = file.read(name, "F32", begin, min(begin + _ROWS_CHECKED, shape[0]))
                    if not np.isfinite(rows.view(np.float32)).all():
                        return f"tensor `{name}` of {file.path} holds NaN or infinity: fetch or write the file again"
        return ""

    def files(self) -> list[tuple[_core.WeightFile, str]]:
        """Open its files of tensors: each with what stands before its tensors' names in the engine's.

        Raises WeightsError, UnsupportedModel.
        """
        if self.gguf is not None:
            return [(self.gguf, "")]
        return [(_core.open_safetensors(file), prefix) for file, prefix in self.weights]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the settings of the checkpoint in `folder`.

    Raises WeightsError when a file is missing or no JSON, UnsupportedModel when the engine cannot run it as it is
    meant.
    """
    if is_gguf(folder):
        return _read_gguf(folder)
    config = _read(folder / "config.json")
    _check_architecture(config, folder)
    modules = _modules(folder)
    dense = [_dense(folder / path, i) for i, path in enumerate(modules["Dense"])]
    _check_pooling(folder / modules["Pooling"][0])
    transformer = folder / modules["Transformer"][0]
    weights = [(str(transformer / "model.safetensors"), "")]
    weights += [(str(folder / path / "model.safetensors"), f"dense.{i}.") for i, path in enumerate(modules["Dense"])]
    for file, _ in weights:
        if not Path(file).is_file():
            raise WeightsError(f"{folder} has no {Path(file).relative_to(folder)}: the checkpoint is incomplete", file)
    settings = _read(folder / "config_sentence_transformers.json", missing={})
    return Checkpoint(
        folder=folder,
        config=_engine_config(config, dense),
        weights=weights,
        prompts=dict(settings.get("prompts") or {}),
        max_seq_length=_max_seq_length(folder, config),
    )


def storage_of(checkpoint: Checkpoint, wanted: str | None) -> tuple[str, str]:
    """(the weights' type, how the engine holds them). Raises InputError when a file holds another than is wanted."""
    if checkpoint.gguf is not None and wanted not in (None, checkpoint.stored):
        raise InputError(f"quantization is {wanted!r}, but the file holds {checkpoint.stored}: leave it out")
    name = checkpoint.stored if checkpoint.gguf is not None else wanted or "q8_0"
    return name, {"f32": "f32", "f16": "f32", "bf16": "bf16"}.get(name, "int8")


def packed_sizes(checkpoint: Checkpoint, storage: str) -> dict[str, int]:
    """The engine's types and the bytes of the matrices that it holds in each, as Packer in native/model does.

    The table of embeddings is not among them: a text's rows are copied from the file, and none of its pages stays.
    """
    sizes: Counter[str] = Counter()
    file = checkpoint.gguf
    folded = storage == "int8" and file is not None and "gemlet.packed_matrices" not in file.metadata
    for name, (dtype, shape) in checkpoint.tensors.items():
        if len(shape) == 2 and name != "embed_tokens.weight" and not (folded and name.startswith("dense.")):
            kind = _engine_type(name, dtype, storage)
            sizes[kind] += round(prod(shape) * PACKED_BYTES[kind])
    if folded:  # the layers of the head are one matrix
        sizes["bf16"] += round(checkpoint.config["hidden_size"] * checkpoint.config["dense"][-1] * PACKED_BYTES["bf16"])
    return dict(sizes.most_common())


def _engine_type(name: str, dtype: str, storage: str) -> str:
    """What a matrix becomes; only in int8 may matrices differ."""
    if storage != "int8":
        return storage
    if name.startswith("dense."):
        return "bf16"
    return "int4" if dtype == "Q4_0" else "int8"


def peak_memory(checkpoint: Checkpoint, storage: str, tokens: int) -> int:
    """About how many bytes a process takes that embeds texts of up to so many tokens."""
    pieces: int = checkpoint.config["vocab_size"]
    packed = sum(packed_sizes(checkpoint, storage).values())
    return PROCESS_BYTES + packed + PIECE_BYTES * pieces + TOKEN_BYTES * tokens


def is_gguf(path: Path) -> bool:
    """Is it one file, by its name or by its first bytes? Ollama's blobs have no suffix."""
    if path.is_dir():
        return False
    if path.suffix == ".gguf":
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def checkpoint_files(folder: Path) -> list[Path]:
    """Every file that a run of the checkpoint in `folder` reads, as far as they are there.

    Raises WeightsError, UnsupportedModel when its modules.json does not say.
    """
    names = (
        "config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json",
        "tokenizer.json",
    )  # fmt: skip
    modules = [folder / path for paths in _modules(folder).values() for path in paths]
    settings = [path / "config.json" for path in modules if path != folder]
    weights = [path / "model.safetensors" for path in modules]
    listed = [*(folder / name for name in names), *settings, *weights]
    return sorted(path for path in listed if path.is_file())


def _read_gguf(path: Path) -> Checkpoint:
    """A file holds all there is; one that llama.cpp's converter wrote has no prompts and gets the published ones."""
    gguf = _core.Gguf.open(str(path))
    config = gguf.config()
    limit = config["max_position_embeddings"]
    own = gguf.metadata.get("gemlet.max_seq_length", limit)
    try:
        own_prompts = gguf.metadata.get("gemlet.prompts")
        prompts = dict(PUBLISHED_PROMPTS) if own_prompts is None else json.loads(own_prompts)
        sound = all(isinstance(text, str) for text in prompts.values()) and isinstance(own, int) and own >= 8
    except (TypeError, ValueError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise WeightsError(f"{path}: its gemlet.prompts or gemlet.max_seq_length is damaged: write it again", str(path))
    return Checkpoint(path.parent, config, [(str(path), "")], prompts, min(limit, own), _stored(gguf), gguf)


def _stored(gguf: _core.Gguf) -> str:
    """The type of most numbers in the layers' matrices; "mixed" if those have 4 bits and attention has 8."""
    matrices = {name: of for name, of in gguf.tensors.items() if name.startswith("layers.") and len(of[1]) == 2}
    numbers: Counter[str] = Counter()
    for dtype, shape in matrices.values():
        numbers[dtype.lower()] += prod(shape)
    most = max(numbers, key=numbers.__getitem__, default="f32")
    attention = {dtype for name, (dtype, _) in matrices.items() if ".self_attn." in name}
    return "mixed" if most == "q4_0" and attention == {"Q8_0"} else most


def _read(path: Path, kind: type = dict, missing: Any = None) -> Any:
    """The JSON in `path`, of the given kind; `missing`, if there is such, when the file is not there."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise WeightsError(
            f"{path.parent} has no {path.name}: not a checkpoint folder, or incomplete", str(path)
        ) from None
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", str(path)) from None
    except (ValueError, RecursionError):
        raise WeightsError(f"{path} is not JSON: fetch it again", str(path)) from None
    if not isinstance(content, kind):
        raise WeightsError(f"{path} holds no JSON {kind.__name__}: fetch it again", str(path))
    return content


def _check(config: Mapping[str, Any], field: str, allowed: tuple[Any, ...], where: object) -> None:
    if config.get(field) not in allowed:
        expected = " or ".join(repr(value) for value in allowed if value is not None)
        message = f"{where}: {field} is {config.get(field)!r}; this engine runs {expected or 'none'}"
        raise UnsupportedModel(message, field, config.get(field))


def _check_architecture(config: Json, folder: Path) -> None:
    """Every setting that the engine has built in."""
    where = folder / "config.json"
    if config.get("model_type") != "gemma3_text":
        raise UnsupportedModel(
            f"{where}: model_type is {config.get('model_type')!r}, not 'gemma3_text': gemlet runs EmbeddingGemma-300M "
            "and fine-tunes of it, no other model",
            "model_type",
            config.get("model_type"),
        )
    if config.get("use_bidirectional_attention") is not True:
        raise UnsupportedModel(
            f"{where}: use_bidirectional_attention is not true: this is a Gemma language model, not an embedding model",
            "use_bidirectional_attention",
            config.get("use_bidirectional_attention"),
        )
    _check(config, "sliding_window", tuple(WINDOWS), where)
    _check(config, "hidden_activation", ("gelu_pytorch_tanh",), where)
    _check(config, "attention_bias", (False, None), where)
    _check(config, "attn_logit_softcapping", (None,), where)
    _check(config, "rope_scaling", (None,), where)


def _modules(folder: Path) -> dict[str, list[str]]:
    """modules.json as kind → paths; the order Transformer, Pooling, Dense ..., Normalize is checked."""
    entries = _read(folder / "modules.json", list)
    try:
        found = [(str(entry["type"]).rsplit(".", 1)[-1], str(entry["path"])) for entry in entries]
    except (TypeError, KeyError):
        raise WeightsError(f"{folder / 'modules.json'} is no list of modules: fetch it again") from None
    kinds = [kind for kind, _ in found]
    if "Dense" not in kinds:
        raise WeightsError(
            f"{folder / 'modules.json'} names no Dense module: without EmbeddingGemma's dense head (2_Dense, 3_Dense) "
            "every vector would be wrong; take a complete checkpoint"
        )
    count = kinds.count("Dense")
    if kinds not in (["Transformer", "Pooling"] + ["Dense"] * count + tail for tail in (["Normalize"], [])):
        raise UnsupportedModel(f"{folder / 'modules.json'}: the modules are {', '.join(kinds)}", "modules", kinds)
    for _, path in found:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise WeightsError(f"{folder / 'modules.json'}: module path {path!r} leaves the folder")
    return {kind: [path for k, path in found if k == kind] for kind in set(kinds)}


def _check_pooling(folder: Path) -> None:
    config = _read(folder / "config.json")
    modes = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    mean = modes == ["pooling_mode_mean_tokens"] or config.get("pooling_mode") in ("mean", ["mean"])
    if not mean or config.get("include_prompt", True) is not True:
        raise UnsupportedModel(
            f"{folder}: this engine pools by the mean over all tokens, prompt included", "pooling_mode", modes
        )


def _dense(folder: Path, index: int) -> Json:
    config: Json = _read(folder / "config.json")
    _check(config, "bias", (False,), folder)
    activation = str(config.get("activation_function")).rsplit(".", 1)[-1]
    if activation != "Identity":
        raise UnsupportedModel(f"{folder}: activation_function is {activation}", "activation_function", activation)
    return config


def _engine_config(config: Json, dense: list[Json]) -> Json:
    """The fields of native/model/config.h."""
    try:
        widths = [int(config["hidden_size"]), *(int(d["out_features"]) for d in dense)]
        if [int(d["in_features"]) for d in dense] != widths[:-1]:
            raise UnsupportedModel(f"the dense layers do not fit together: widths {widths}", "in_features", widths)
        full, local = _rope(config)
        numbers = (
            "vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim",
            "max_position_embeddings",
        )  # fmt: skip
        return {name: int(config[name]) for name in numbers} | {
            "window": WINDOWS[config["sliding_window"]],
            "query_pre_attn_scalar": float(config["query_pre_attn_scalar"]),
            "rms_norm_eps": float(config["rms_norm_eps"]),
            "rope_theta": full,
            "rope_local_base_freq": local,
            "sliding": _sliding(config),
            "dense": widths[1:],
        }
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, KeyError):
            raise UnsupportedModel(f"config.json has no {error}", str(error.args[0])) from None
        raise UnsupportedModel(f"config.json holds a value of the wrong kind: {error}") from None


def _rope(config: Json) -> tuple[float, float]:
    """(theta of the full layers, theta of the sliding layers); transformers 5 writes them as rope_parameters."""
    if "rope_theta" in config:
        return float(config["rope_theta"]), float(config["rope_local_base_freq"])
    rope = config["rope_parameters"]
    for kind in ("full_attention", "sliding_attention"):
        _check(rope[kind], "rope_type", ("default", None), f"rope_parameters.{kind}")
    return float(rope["full_attention"]["rope_theta"]), float(rope["sliding_attention"]["rope_theta"])


def _sliding(config: Json) -> list[bool]:
    """For each layer: does it slide? Without layer_types every sixth does not."""
    layers = int(config["num_hidden_layers"])
    types = config.get("layer_types")
    if types is None:
        pattern = int(config.get("_sliding_window_pattern") or config["sliding_window_pattern"])
        return [(i + 1) % pattern != 0 for i in range(layers)]
    if len(types) != layers or not set(types) <= {"sliding_attention", "full_attention"}:
        raise UnsupportedModel(f"layer_types does not name {layers} sliding or full layers", "layer_types", types)
    return [kind == "sliding_attention" for kind in types]


def _max_seq_length(folder: Path, config: Json) -> int:
    limit = int(config["max_position_embeddings"])
    own = _read(folder / "sentence_bert_config.json", missing={}).get("max_seq_length")
    return min(limit, int(own)) if own else limit
