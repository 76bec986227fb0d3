"""Folders that are no EmbeddingGemma, or not whole, are refused in one line; its fine-tunes load."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import write_tiny_checkpoint

from gemlet import Embedder
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import ModelError, UnsupportedModel, WeightsError


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "copy")


def edit(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text())
    for name, value in fields.items():
        if value is ...:
            content.pop(name)
        else:
            content[name] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "gemma3"}, "model_type is 'gemma3'"),
        ({"model_type": "embeddinggemma2"}, "runs EmbeddingGemma-300M"),
        ({"use_bidirectional_attention": False}, "a Gemma language model"),
        ({"use_bidirectional_attention": ...}, "a Gemma language model"),
        ({"sliding_window": 129}, "sliding_window is 129; this engine runs 512 or 257"),
        ({"sliding_window": 1024}, "sliding_window is 1024"),
        ({"sliding_window": ...}, "sliding_window is None"),
        ({"hidden_activation": "gelu"}, "hidden_activation is 'gelu'"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ({"rope_scaling": {"factor": 8}}, "rope_scaling is"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"head_dim": ...}, "no 'head_dim'"),
        ({"hidden_size": "wide"}, "wrong kind"),
        ({"layer_types": ["full_attention"]}, "layer_types does not name 2"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "layer_types does not name 2"),
        ({"num_key_value_heads": 2}, "num_attention_heads is no multiple"),
        ({"head_dim": 24}, "head_dim is 24; the kernels run multiples of 32"),
        ({"rope_theta": ..., "rope_local_base_freq": ...}, "no 'rope_parameters'"),
    ],
)
def test_another_architecture(folder: Path, fields: dict[str, Any], message: str) -> None:
    edit(folder / "config.json", **fields)
    with pytest.raises(UnsupportedModel, match=message) as caught:
        Embedder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "tensor"),
    [
        ({"hidden_size": 32}, "embed_tokens"),
        ({"intermediate_size": 64}, "gate_proj"),
        ({"vocab_size": 511}, "embed_tokens"),
    ],
)
def test_a_shape_that_the_config_does_not_say(folder: Path, fields: dict[str, Any], tensor: str) -> None:
    edit(folder / "config.json", **fields)
    with pytest.raises(ModelError, match=f"{tensor}|dense layers do not fit"):
        Embedder(folder)


@pytest.mark.parametrize(
    "name",
    ["config.json", "modules.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json",
     "2_Dense/config.json", "2_Dense/model.safetensors", "3_Dense/model.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "empty", "nonsense", "a folder"])
def test_incomplete_folders(folder: Path, name: str, how: str) -> None:
    path = folder / name
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(b"" if how == "empty" else b"\x00\xff nonsense")
    with pytest.raises(WeightsError, match=name.rsplit("/", 1)[-1].replace(".", r"\.")) as caught:
        Embedder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"', "[[[[", "{}"])
@pytest.mark.parametrize(
    "name",
    ["config.json", "modules.json", "1_Pooling/config.json", "2_Dense/config.json", "sentence_bert_config.json",
     "config_sentence_transformers.json"],
)  # fmt: skip
def test_json_of_another_kind(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    try:
        Embedder(folder)  # the settings of sentence-transformers may be empty
    except ModelError as error:
        assert "\n" not in str(error)


def modules(*kinds: tuple[str, str]) -> str:
    return json.dumps(
        [{"idx": i, "name": str(i), "path": path, "type": f"a.b.{kind}"} for i, (kind, path) in enumerate(kinds)]
    )


def test_a_checkpoint_without_its_dense_head(folder: Path) -> None:
    (folder / "modules.json").write_text(
        modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "4_Normalize"))
    )
    with pytest.raises(WeightsError, match="without EmbeddingGemma's dense head"):
        Embedder(folder)


def test_modules_in_another_order_or_elsewhere(folder: Path) -> None:
    path = folder / "modules.json"
    path.write_text(modules(("Transformer", ""), ("Dense", "2_Dense"), ("Pooling", "1_Pooling")))
    with pytest.raises(UnsupportedModel, match="Transformer, Dense, Pooling"):
        Embedder(folder)
    path.write_text(modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "../2_Dense")))
    with pytest.raises(WeightsError, match="leaves the folder"):
        Embedder(folder)


def test_other_pooling_and_dense_settings(folder: Path) -> None:
    edit(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    with pytest.raises(UnsupportedModel, match="mean over all tokens"):
        Embedder(folder)
    edit(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=True, pooling_mode_cls_token=False)
    edit(folder / "2_Dense" / "config.json", activation_function="torch.nn.modules.activation.Tanh")
    with pytest.raises(UnsupportedModel, match="Tanh"):
        Embedder(folder)
    edit(folder / "2_Dense" / "config.json", activation_function="torch.nn.modules.linear.Identity", bias=True)
    with pytest.raises(UnsupportedModel, match="bias is True"):
        Embedder(folder)


def test_a_resaved_window_means_the_same(folder: Path, tiny: Embedder) -> None:
    long = "many words about red planets " * 90
    edit(folder / "config.json", sliding_window=257)
    assert np.array_equal(Embedder(folder).encode(long), tiny.encode(long))


def test_the_settings_as_transformers_5_writes_them(folder: Path, tiny: Embedder) -> None:
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    edit(folder / "config.json", rope_theta=..., rope_local_base_freq=..., rope_parameters=rope)
    assert np.array_equal(Embedder(folder).encode("a text"), tiny.encode("a text"))
    rope["full_attention"]["rope_type"] = "yarn"
    edit(folder / "config.json", rope_parameters=rope)
    with pytest.raises(UnsupportedModel, match="yarn"):
        Embedder(folder)


def test_bf16_files_are_read(tmp_path: Path, tiny: Embedder) -> None:
    write_tiny_checkpoint(tmp_path, dtype="BF16")
    vector = Embedder(tmp_path).encode("a text")
    # bfloat16 keeps 8 bits: each weight moves by at most 1/256 of itself, the vector by far less than this
    assert 0.99 < float(vector @ tiny.encode("a text")) < 1


def test_settings_come_from_the_folder(folder: Path) -> None:
    edit(folder / "sentence_bert_config.json", max_seq_length=100)
    edit(folder / "config_sentence_transformers.json", prompts={"query": "find: "})
    settings = read_checkpoint(folder)
    assert settings.max_seq_length == 100
    embedder = Embedder(folder)
    assert embedder.prompts["query"] == "find: "
    assert embedder.prompts["question answering"] == "task: question answering | query: "
    with pytest.warns(UserWarning, match="longer than 100 tokens"):
        embedder.encode("word " * 500)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        Embedder(tmp_path / "nowhere", offline=True)
