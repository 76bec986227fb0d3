"""Checkpoint → an ONNX graph with ONNX Runtime's own fused operators and 8-bit weights.   (checkpoint folder → folder)

    python bench/convert/to_onnx.py CHECKPOINT FOLDER

bench/rivals/README.md has the environment that it needs. The graph is written node by node, since that gives the
runtime its quickest operators: MatMulNBits (blocks of 32, integer arithmetic), MultiHeadAttention, RotaryEmbedding and
SkipSimplifiedLayerNormalization, which adds the residual and takes the norm in one.
"""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

FUSED = "com.microsoft"
LIMIT = 2048
BLOCK = 32
MASKED = -1e30

Array = npt.NDArray[Any]
Tensors = dict[str, Array]


class Graph:
    """Nodes in the order they run, and the constants that they read; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: npt.DTypeLike = np.float32) -> str:
        """Add an array and return its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name

    def whole(self, *values: int) -> str:
        """Add a vector of whole numbers, for a shape or axes."""
        return self.constant(values, np.int64)

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return its name; "" stands for an input that is left out."""
        return self.nodes_outputs(op, inputs, [True], attributes)[0]

    def nodes_outputs(self, op: str, inputs: Any, kept: list[bool], attributes: dict[str, Any]) -> list[str]:
        """Add a node and return the names of its outputs, "" for one that is not kept."""
        outputs = [f"{op}{len(self.nodes)}_{i}" if keep else "" for i, keep in enumerate(kept)]
        domain = attributes.pop("domain", "")
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs

    def linear(self, x: str, weight: Array) -> str:
        """Multiply x [..., in] by weight [out, in], 8 bits a number."""
        codes, scales = quantize(weight)
        out, width = weight.shape
        return self.node(
            "MatMulNBits", x, self.constant(codes, np.uint8), self.constant(scales.reshape(-1)), domain=FUSED,
            K=width, N=out, bits=8, block_size=BLOCK, accuracy_level=4,
        )  # fmt: skip

    def norm(self, x: str, weight: Array) -> str:
        """RMSNorm over the last axis; the checkpoint stores w and the model multiplies by 1 + w."""
        return self.node("SimplifiedLayerNormalization", x, self.constant(1 + weight), axis=-1, epsilon=1e-6)

    def add_and_norm(self, x: str, more: str, weight: Array) -> tuple[str, str]:
        """Return x + more, and its norm."""
        inputs = [more, x, self.constant(1 + weight)]
        normed, _, _, total = self.nodes_outputs(
            "SkipSimplifiedLayerNormalization", inputs, [True, False, False, True], {"domain": FUSED, "epsilon": 1e-6}
        )
        return total, normed


def quantize(weight: Array) -> tuple[Array, Array]:
    """Codes [rows, blocks, 32] uint8 around 128 and their scales [rows, blocks] of weight [rows, columns]."""
    blocks = weight.astype(np.float32).reshape(len(weight), -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=-1), 1e-12) / 127
    return (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8), scales


def write_graph(folder: Path) -> Graph:
    """Write the whole model: ids → body → mean → dense head → unit length."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = {name.removeprefix("model."): t for name, t in load_file(folder / "model.safetensors").items()}
    graph = Graph()
    position, seen = masks(graph, config["sliding_window"] // 2)
    angles = {
        "full_attention": rope(graph, config["head_dim"], config["rope_theta"]),
        "sliding_attention": rope(graph, config["head_dim"], config["rope_local_base_freq"]),
    }
    x = embed(graph, tensors["embed_tokens.weight"])
    h = graph.norm(x, tensors["layers.0.input_layernorm.weight"])
    for number, kind in enumerate(config["layer_types"]):
        layer = {name.split(".", 2)[2]: t for name, t in tensors.items() if name.startswith(f"layers.{number}.")}
        last = number + 1 == len(config["layer_types"])
        after = tensors["norm.weight" if last else f"layers.{number + 1}.input_layernorm.weight"]
        context = attention(graph, config, h, layer, position, seen[kind], angles[kind])
        attended = graph.linear(context, layer["self_attn.o_proj.weight"])
        attended = graph.norm(attended, layer["post_attention_layernorm.weight"])
        x, h = graph.add_and_norm(x, attended, layer["pre_feedforward_layernorm.weight"])
        fed = graph.norm(mlp(graph, h, layer), layer["post_feedforward_layernorm.weight"])
        x, h = graph.add_and_norm(x, fed, after)
    vector = mean(graph, h)
    for name in ("2_Dense", "3_Dense"):
        vector = graph.linear(vector, load_file(folder / name / "model.safetensors")["linear.weight"])
    graph.nodes.append(helper.make_node("LpNormalization", [vector], ["embedding"], axis=-1, p=2))
    return graph


def embed(graph: Graph, table: Array) -> str:
    """input_ids → [texts, tokens, 768]."""
    codes, scales = quantize(table)
    rows = graph.node(
        "GatherBlockQuantized", graph.constant(codes.reshape(table.shape), np.uint8), "input_ids",
        graph.constant(scales), domain=FUSED, bits=8, block_size=BLOCK, gather_axis=0, quantize_axis=1,
    )  # fmt: skip
    return graph.node("Mul", rows, graph.constant(math.sqrt(table.shape[1])))


def masks(graph: Graph, half_window: int) -> tuple[str, dict[str, str]]:
    """Positions [texts, tokens], and by kind of layer what is added to the scores [texts, 1, tokens, tokens]."""
    shape = graph.node("Shape", "input_ids")
    tokens = graph.node("Gather", shape, graph.constant(1, np.int64), axis=0)
    row = graph.node("Range", graph.constant(0, np.int64), tokens, graph.constant(1, np.int64))
    across, down = graph.node("Unsqueeze", row, graph.whole(0)), graph.node("Unsqueeze", row, graph.whole(1))
    distance = graph.node("Abs", graph.node("Sub", down, across))
    real = graph.node("Cast", "attention_mask", to=TensorProto.BOOL)
    real = graph.node("Unsqueeze", real, graph.whole(1, 2))
    seen = {}
    for kind, reach in (("full_attention", LIMIT), ("sliding_attention", half_window)):
        near = graph.node("LessOrEqual", distance, graph.constant(reach, np.int64))
        near = graph.node("Unsqueeze", near, graph.whole(0, 1))
        both = graph.node("And", real, near)
        seen[kind] = graph.node("Where", both, graph.constant(0), graph.constant(MASKED))
    return graph.node("Expand", across, shape), seen


def rope(graph: Graph, head_dim: int, theta: float) -> tuple[str, str]:
    """Cosines and sines [2048, head_dim / 2]."""
    angles = np.arange(LIMIT)[:, None] / theta ** (np.arange(0, head_dim, 2) / head_dim)
    return graph.constant(np.cos(angles)), graph.constant(np.sin(angles))


def attention(
    graph: Graph, config: dict[str, Any], h: str, layer: Tensors, position: str, seen: str, angles: tuple[str, str]
) -> str:
    """Normed input [texts, tokens, 768] → context, before the output product."""
    heads, head_dim = config["num_attention_heads"], config["head_dim"]
    weight = np.concatenate([layer[f"self_attn.{name}_proj.weight"] for name in "qkv"])
    sizes = graph.whole(heads * head_dim, head_dim, head_dim)
    q, k, v = graph.nodes_outputs("Split", [graph.linear(h, weight), sizes], [True] * 3, {"axis": -1})
    turned = []
    for value, count, name in ((q, heads, "q"), (k, 1, "k")):
        value = graph.node("Reshape", value, graph.whole(0, 0, count, head_dim))
        value = graph.norm(value, layer[f"self_attn.{name}_norm.weight"])
        value = graph.node("Reshape", value, graph.whole(0, 0, count * head_dim))
        turned.append(graph.node("RotaryEmbedding", value, position, *angles, domain=FUSED, num_heads=count))
    keys, values = (graph.node("Concat", *[value] * heads, axis=-1) for value in (turned[1], v))
    scale = config["query_pre_attn_scalar"] ** -0.5
    inputs = (turned[0], keys, values, "", "", seen)
    return graph.node("MultiHeadAttention", *inputs, domain=FUSED, num_heads=heads, scale=scale)


def mlp(graph: Graph, h: str, layer: Tensors) -> str:
    """down(gelu(gate) * up), gate and up as one product."""
    both = graph.linear(h, np.concatenate([layer["mlp.gate_proj.weight"], layer["mlp.up_proj.weight"]]))
    width = len(layer["mlp.up_proj.weight"])
    gate, up = graph.nodes_outputs("Split", [both, graph.whole(width, width)], [True] * 2, {"axis": -1})
    gate = graph.node("FastGelu", gate, domain=FUSED)
    return graph.linear(graph.node("Mul", gate, up), layer["mlp.down_proj.weight"])


def mean(graph: Graph, h: str) -> str:
    """Average over the tokens that are not padding: [texts, 768]."""
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    kept = graph.node("Mul", h, graph.node("Unsqueeze", mask, graph.whole(-1)))
    total = graph.node("ReduceSum", kept, graph.whole(1), keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", mask, graph.whole(1), keepdims=1))


def main(checkpoint: Path, folder: Path) -> None:
    """Write model.onnx, its weights in a file beside it, and the tokenizer."""
    graph = write_graph(checkpoint)
    value = helper.make_tensor_value_info
    inputs = [value(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("input_ids", "attention_mask")]
    outputs = [value("embedding", TensorProto.FLOAT, ["texts", 768])]
    made = helper.make_graph(graph.nodes, "embeddinggemma", inputs, outputs, graph.constants)
    versions = [helper.make_opsetid("", 21), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(made, opset_imports=versions, ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx.data").unlink(missing_ok=True)
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    shutil.copy(checkpoint / "tokenizer.json", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
