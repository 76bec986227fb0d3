"""Soups: the mean of every tensor, as a checkpoint that runs; the greedy one takes what helps and nothing else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import CONFIG, write_tiny_checkpoint

from gemlet import Embedder, InputError, UnsupportedModel, WeightsError, _core
from gemlet.dataset import read_dataset
from gemlet.train import averaging
from gemlet.train.soup import Soup, Tasted, soup
from gemlet.train.tasting import as_search, dev_score

WEIGHTS = ("model.safetensors", "2_Dense/model.safetensors", "3_Dense/model.safetensors")


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [write_tiny_checkpoint(tmp_path / name, seed) for seed, name in enumerate("abc")]


def tensors(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for name in WEIGHTS:
        file = _core.open_safetensors(str(folder / name))
        for tensor, (_, shape) in file.tensors.items():
            found[f"{name} {tensor}"] = file.read(tensor, "F32", 0, shape[0]).view(np.float32).reshape(shape)
    return found


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("rows", [1 << 20, 100])  # a tensor in one piece, and in many
def test_every_tensor_is_the_mean(folders: list[Path], tmp_path: Path, rows: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(averaging, "_NUMBERS", rows)
    told: list[tuple[int, int]] = []
    made = soup(folders, tmp_path / "soup", progress=lambda at, of: told.append((at, of)))
    assert made == Soup("uniform", [Tasted(name, True) for name in "abc"])
    each = [tensors(folder) for folder in folders]
    for name, tensor in tensors(tmp_path / "soup").items():
        mean = np.mean([one[name].astype(np.float64) for one in each], axis=0).astype(np.float32)
        assert np.array_equal(tensor, mean), name
    assert told[-1][0] == told[-1][1] == sum(4 * one.size for one in each[0].values())
    assert json.loads((tmp_path / "soup" / "soup.json").read_text())["method"] == "uniform"
    assert hidden(tmp_path) == []


def test_a_soup_runs_and_holds_nothing_but_the_checkpoint(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "optimizer.pt").write_bytes(b"x" * 100)
    (folders[0] / "tokenizer_config.json").write_text("{}")
    soup(folders, tmp_path / "soup")
    vector = Embedder(tmp_path / "soup", quantization="f32").encode("a text")
    assert np.isfinite(vector).all()
    made = {str(path.relative_to(tmp_path / "soup")) for path in (tmp_path / "soup").rglob("*") if path.is_file()}
    own = {str(path.relative_to(folders[0])) for path in folders[0].rglob("*") if path.is_file()}
    assert made == own - {"optimizer.pt"} | {"soup.json"}
    assert (tmp_path / "soup").stat().st_mode & 0o777 == folders[0].stat().st_mode & 0o777


def test_bfloat16_stays_bfloat16(tmp_path: Path) -> None:
    both = [write_tiny_checkpoint(tmp_path / name, seed, dtype="BF16") for seed, name in enumerate("ab")]
    soup(both, tmp_path / "soup")
    file = _core.open_safetensors(str(tmp_path / "soup" / WEIGHTS[0]))
    assert {dtype for dtype, _ in file.tensors.values()} == {"BF16"}
    one, two, mean = (tensors(folder) for folder in (*both, tmp_path / "soup"))
    for name, tensor in mean.items():
        exact = (one[name] + two[name]) / 2
        assert np.abs(tensor - exact).max() <= np.abs(exact).max() * 2**-8, name
    mixed = write_tiny_checkpoint(tmp_path / "c", 2)
    soup([both[0], mixed], tmp_path / "mixed")
    file = _core.open_safetensors(str(tmp_path / "mixed" / WEIGHTS[0]))
    assert {dtype for dtype, _ in file.tensors.values()} == {"F32"}


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -(1 + 3 * 2**-8), 0.0], np.float32)
    bits = averaging._bfloat16(values).astype(np.uint32) << 16
    assert bits.view(np.float32).tolist() == [1, 1, 1 + 2**-6, 1 + 2**-7, -(1 + 2**-6), 0]


def scores_of(table: dict[str, float], folders: list[Path]) -> Callable[[Path], float]:
    """A score for each folder, and for the mean of those whose names stand together: told by its weights."""
    each = {folder.name: tensors(folder)[f"{WEIGHTS[0]} norm.weight"] for folder in folders}

    def score(folder: Path) -> float:
        own = tensors(folder)[f"{WEIGHTS[0]} norm.weight"]
        return next(
            value
            for names, value in table.items()
            if np.allclose(own, np.mean([each[name] for name in names], axis=0), atol=1e-6)
        )

    return score


def test_the_greedy_soup_takes_what_does_not_make_it_worse(folders: list[Path], tmp_path: Path) -> None:
    # b is the best; c does not help; a makes it no worse
    score = scores_of({"a": 0.4, "b": 0.6, "c": 0.5, "bc": 0.59, "ab": 0.6}, folders)
    made = soup(folders, tmp_path / "soup", method="greedy", score=score)
    assert made.ingredients == [Tasted("b", True, 0.6), Tasted("c", False, 0.5, 0.59), Tasted("a", True, 0.4, 0.6)]
    assert (made.method, made.score) == ("greedy", 0.6)
    a, b, mean = (tensors(folder) for folder in (folders[0], folders[1], tmp_path / "soup"))
    for name, tensor in mean.items():
        assert np.array_equal(tensor, ((a[name].astype(np.float64) + b[name]) / 2).astype(np.float32))
    assert json.loads((tmp_path / "soup" / "soup.json").read_text())["ingredients"][1]["taken"] is False
    assert hidden(tmp_path) == []


def test_the_greedy_soup_of_which_nothing_helps_is_the_best_one(folders: list[Path], tmp_path: Path) -> None:
    score = scores_of({"a": 0.5, "b": 0.5, "c": 0.4, "ab": 0.1, "ac": 0.1}, folders)
    made = soup(folders, tmp_path / "soup", method="greedy", score=score)
    assert [one.folder for one in made.ingredients] == ["a", "b", "c"]  # of equally good ones the first
    assert [one.taken for one in made.ingredients] == [True, False, False]
    for name, tensor in tensors(tmp_path / "soup").items():
        assert np.array_equal(tensor, tensors(folders[0])[name])


def test_the_uniform_soup_is_tasted_too(folders: list[Path], tmp_path: Path) -> None:
    score = scores_of({"a": 0.5, "b": 0.5, "c": 0.4, "abc": 0.7}, folders)
    made = soup(folders, tmp_path / "soup", score=score)
    assert ([one.score for one in made.ingredients], made.score) == ([0.5, 0.5, 0.4], 0.7)


@pytest.mark.parametrize("method", ["uniform", "greedy"])
def test_a_figure_that_is_none_is_no_choice(folders: list[Path], tmp_path: Path, method: Any) -> None:
    with pytest.raises(InputError, match=r"gives no figure for a \(nan\)"):
        soup(folders, tmp_path / "soup", method=method, score=lambda _: float("nan"))
    assert not (tmp_path / "soup").exists()


def rewritten(folder: Path, file: str, change: Callable[[Any], Any]) -> None:
    value = json.loads((folder / file).read_text())
    change(value)
    (folder / file).write_text(json.dumps(value))


def test_folders_that_differ_are_refused(folders: list[Path], tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            soup(folders, tmp_path / "soup")
        assert not (tmp_path / "soup").exists()
        assert hidden(tmp_path) == []

    other = folders[1]
    rewritten(other, "config.json", lambda config: config.update(rope_theta=10_000.0))
    refused(r"b is unlike .*a: its .* is 10000.0, not 1000000.0; only checkpoints that were trained from one")
    write_tiny_checkpoint(other, 1)
    rewritten(other, "tokenizer.json", lambda tokenizer: tokenizer["model"]["merges"].pop())
    refused("b is unlike .*a: its tokenizer is another")
    write_tiny_checkpoint(other, 1)
    rewritten(other, "config_sentence_transformers.json", lambda settings: settings["prompts"].update(query="x: "))
    refused("its prompts are others")
    shutil.rmtree(other)
    write_tiny_checkpoint(other, 1, intermediate_size=128)
    refused(r"its intermediate_size is 128, not 96")
    shutil.rmtree(other)
    write_tiny_checkpoint(other, 1, num_hidden_layers=3, layer_types=[*CONFIG["layer_types"], "full_attention"])
    refused("b is unlike")
    shutil.rmtree(other)
    write_tiny_checkpoint(other, 1)
    shutil.copy(other / "2_Dense" / "model.safetensors", other / "3_Dense" / "model.safetensors")
    refused(r"its tensor `dense.1.linear.weight` has the shape \[128, 64\], not \[64, 128\]")


def test_the_same_tokenizer_written_otherwise_is_the_same(folders: list[Path], tmp_path: Path) -> None:
    text = json.dumps(json.loads((folders[1] / "tokenizer.json").read_text()), indent=1)
    (folders[1] / "tokenizer.json").write_text(text)
    soup(folders, tmp_path / "soup")
    assert (tmp_path / "soup" / "tokenizer.json").read_bytes() == (folders[0] / "tokenizer.json").read_bytes()


def test_what_is_no_ingredient(folders: list[Path], tmp_path: Path) -> None:
    a = folders[0]
    (tmp_path / "file").write_text("text")
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(20))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "link").symlink_to(a)
    for other, message in (
        (tmp_path / "nowhere", "there is no folder .*nowhere"),
        (tmp_path / "file", "file is a file: name a folder"),
        (tmp_path / "model.gguf", "model.gguf is one .gguf file, whose weights may be rounded"),
        (tmp_path / "adapter", "holds a LoRA adapter alone: merge it"),
        (a, "a is there twice"),
        (tmp_path / "link", "link is there twice"),
    ):
        with pytest.raises(InputError, match=message):
            soup([a, other], tmp_path / "soup")
    (tmp_path / "empty").mkdir()
    with pytest.raises((WeightsError, UnsupportedModel)):
        soup([a, tmp_path / "empty"], tmp_path / "soup")
    for few in ([], [a]):
        with pytest.raises(InputError, match="two checkpoints or more"):
            soup(few, tmp_path / "soup")
    with pytest.raises(InputError, match="tasted on a dev set"):
        soup(folders, tmp_path / "soup", method="greedy")
    with pytest.raises(InputError, match="available: uniform, greedy"):
        soup(folders, tmp_path / "soup", method="thick")


def test_an_output_that_is_there_is_left_alone(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "soup").mkdir()
    with pytest.raises(InputError, match="soup is there already"):
        soup(folders, tmp_path / "soup")
    assert list((tmp_path / "soup").iterdir()) == []
    with pytest.raises(InputError, match=r"cannot write .*no/soup: No such file"):
        soup(folders, tmp_path / "no" / "soup")


def test_nothing_is_left_when_it_fails(folders: list[Path], tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(averaging.os, "fsync", full)
        with pytest.raises(InputError, match=r"cannot write .*soup: No space left on device"):
            soup(folders, tmp_path / "soup")
    with pytest.raises(KeyboardInterrupt):
        soup(folders, tmp_path / "soup", score=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_number_that_is_none_is_found(folders: list[Path], tmp_path: Path) -> None:
    path = folders[2] / "2_Dense" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4:] = np.float32(np.nan).tobytes()
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"tensor `linear.weight` of .*c/2_Dense/.* holds NaN or infinity"):
        soup(folders, tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


WORDS = ["red", "blue", "green", "cold", "hot", "wet"]


def test_a_dev_set_is_measured_by_what_it_is(folders: list[Path], tmp_path: Path) -> None:
    sets: dict[str, list[dict[str, Any]]] = {
        "ndcg@10": [{"query": f"what is {word}", "answer": f"{word} {word}"} for word in WORDS],
        "spearman": [{"sentence1": word, "sentence2": word * 2, "score": at} for at, word in enumerate(WORDS)],
        "accuracy": [{"text": f"{word} {word}", "label": at % 2} for at, word in enumerate(WORDS)],
    }
    for figure, rows in sets.items():
        name, score = dev_score(written(tmp_path / "dev.jsonl", rows))
        assert name == figure
        value = score(folders[0])
        assert -1 <= value <= 1
        assert score(folders[0]) == value
    with pytest.raises(InputError, match="rows of a dev set are anchor and positive"):
        dev_score(written(tmp_path / "dev.jsonl", [{"a": "b"}]))
    with pytest.raises(InputError, match="any model finds it"):
        dev_score(written(tmp_path / "dev.jsonl", [{"anchor": "a", "positive": "b"}] * 10))
    with pytest.raises(InputError, match=r"dev.jsonl:2 has no text in 'positive'"):
        dev_score(written(tmp_path / "dev.jsonl", [{"anchor": "a", "positive": "b"}, {"anchor": "c", "positive": ""}]))


def test_a_search_has_each_text_once_and_the_negatives_among_the_documents(tmp_path: Path) -> None:
    rows = [
        {"anchor": "a", "positive": "x", "negative": "n"},
        {"anchor": "a", "positive": "y", "negative": ""},
        {"anchor": "b", "positive": "x", "negative": "y"},
        {"anchor": "b", "positive": "x", "negative": None},
    ]
    data = as_search(read_dataset([written(tmp_path / "dev.jsonl", rows)]))
    assert [one.text for one in data.queries] == ["a", "b"]
    assert [one.text for one in data.documents] == ["x", "y", "n"]
    assert data.grades == [{0: 1, 1: 1}, {0: 1}]
