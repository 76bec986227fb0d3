"""A seeded checkpoint of two layers in the published folder layout, for tests without the 1.2 GB of weights.

Layer 0 is sliding and layer 1 full. No two widths that a bug could confuse are equal: 64 in the residual stream, 96 in
the queries and in the MLP, 32 in the keys, 128 between the two dense layers. The q and k norms are drawn around 1.5, so
that softmax is far from uniform and a wrong mask or RoPE base moves the vector by more than 1e-3 (test_reference.py).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tiny_tokenizer import tiny_tokenizer_json

# The order and the texts of the published config_sentence_transformers.json.
PROMPTS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "BitextMining": "task: search result | query: ",
    "Clustering": "task: clustering | query: ",
    "Classification": "task: classification | query: ",
    "InstructionRetrieval": "task: code retrieval | query: ",
    "MultilabelClassification": "task: classification | query: ",
    "PairClassification": "task: sentence similarity | query: ",
    "Reranking": "task: search result | query: ",
    "Retrieval": "task: search result | query: ",
    "Retrieval-query": "task: search result | query: ",
    "Retrieval-document": "title: none | text: ",
    "STS": "task: sentence similarity | query: ",
    "Summarization": "task: summarization | query: ",
}

CONFIG: dict[str, Any] = {
    "_sliding_window_pattern": 6,
    "architectures": ["Gemma3TextModel"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "dtype": "float32",
    "eos_token_id": 1,
    "final_logit_softcapping": None,
    "head_dim": 32,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 96,
    "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 2048,
    "model_type": "gemma3_text",
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 32,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "transformers_version": "4.57.0.dev0",
    "use_bidirectional_attention": True,
    "use_cache": True,
    "vocab_size": 512,
}

POOLING = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
    "pooling_mode_weightedmean_tokens": False,
    "pooling_mode_lasttoken": False,
    "include_prompt": True,
}


MODULES = [
    ("Transformer", ""),
    ("Pooling", "1_Pooling"),
    ("Dense", "2_Dense"),
    ("Dense", "3_Dense"),
    ("Normalize", "4_Normalize"),
]


def write_tiny_checkpoint(folder: str | Path, seed: int = 0, *, dtype: str = "F32", **config_overrides: Any) -> Path:
    """Write the checkpoint into `folder` (made if missing) and return its path.

    The same seed and overrides give the same values in either dtype, "F32" or "BF16", up to bfloat16's rounding.
    config_overrides replace or add keys of config.json; the shapes of the tensors follow them.
    """
    folder = Path(folder)
    config = {**CONFIG, "dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype], **config_overrides}
    hidden = config["hidden_size"]
    rng = np.random.default_rng(seed)

    write_json(folder / "config.json", config)
    write_safetensors(folder / "model.safetensors", body_tensors(config, rng), dtype)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": hidden, **POOLING})
    for name, inputs, outputs in (("2_Dense", hidden, 2 * hidden), ("3_Dense", 2 * hidden, hidden)):
        shape = {"in_features": inputs, "out_features": outputs, "bias": False}
        write_json(folder / name / "config.json", {**shape, "activation_function": "torch.nn.modules.linear.Identity"})
        write_safetensors(folder / name / "model.safetensors", {"linear.weight": linear(rng, outputs, inputs)}, dtype)

    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, (kind, path) in enumerate(MODULES)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 2048, "do_lower_case": False})
    similarity = {"default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(
        folder / "config_sentence_transformers.json",
        {"model_type": "SentenceTransformer", "prompts": PROMPTS, **similarity},
    )
    tiny_tokenizer_json(folder / "tokenizer.json")
    return folder


def body_tensors(config: dict[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every tensor of model.safetensors, float32, under its published name."""
    hidden, intermediate, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    # The model multiplies a row by sqrt(hidden_size): 1 / sqrt(hidden_size) here makes it unit variance.
    tensors = {"embed_tokens.weight": linear(rng, config["vocab_size"], hidden)}
    for number in range(config["num_hidden_layers"]):
        layer = f"layers.{number}."
        tensors |= {
            layer + "input_layernorm.weight": norm(rng, hidden),
            layer + "self_attn.q_proj.weight": linear(rng, queries, hidden),
            layer + "self_attn.k_proj.weight": linear(rng, keys, hidden),
            layer + "self_attn.v_proj.weight": linear(rng, keys, hidden),
            layer + "self_attn.q_norm.weight": norm(rng, head_dim, mean=0.5),
            layer + "self_attn.k_norm.weight": norm(rng, head_dim, mean=0.5),
            layer + "self_attn.o_proj.weight": linear(rng, hidden, queries),
            layer + "post_attention_layernorm.weight": norm(rng, hidden),
            layer + "pre_feedforward_layernorm.weight": norm(rng, hidden),
            layer + "mlp.gate_proj.weight": linear(rng, intermediate, hidden),
            layer + "mlp.up_proj.weight": linear(rng, intermediate, hidden),
            layer + "mlp.down_proj.weight": linear(rng, hidden, intermediate),
            layer + "post_feedforward_layernorm.weight": norm(rng, hidden),
        }
    return tensors | {"norm.weight": norm(rng, hidden)}


def linear(rng: np.random.Generator, outputs: int, inputs: int) -> np.ndarray:
    """[outputs, inputs] float32; unit-variance inputs give unit-variance outputs."""
    return (rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)


def norm(rng: np.random.Generator, width: int, mean: float = 0.0) -> np.ndarray:
    """[width] float32, stored as w where the model multiplies by 1 + w."""
    return (mean + 0.2 * rng.standard_normal(width)).astype(np.float32)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str) -> None:
    """Eight bytes of header length, the JSON header padded to 8 bytes, the tensors end to end."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs, offset = [], 0
    for name, tensor in tensors.items():
        blob = (to_bfloat16(tensor) if dtype == "BF16" else tensor.astype("<f4")).tobytes()
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + b"".join(blobs))


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Bit patterns [..] uint16 of finite float32 values, rounded to nearest even."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
