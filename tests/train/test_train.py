"""Rows and a checkpoint → a fine-tuned checkpoint: that it learns, and that what comes out is a checkpoint."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from training import curve, pairs, settings, write_rows, write_student

from gemlet import Embedder
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import InputError, TrainingError
from gemlet.gguf import write_gguf
from gemlet.train import train
from gemlet.train.loading import WINDOW, cut, load_student, merge_lora

TEXTS = ["red planet", "", "a b " * 30, "some words " * 150, "x"]


@pytest.fixture(scope="module", params=["lora", "full"])
def run(
    request: pytest.FixtureRequest, base: Path, rows: Path, held: Path, tmp_path_factory: Any
) -> tuple[str, Path, Any]:
    folder = tmp_path_factory.mktemp("tuned") / request.param
    said: list[str] = []
    result = train(base, [rows], folder, settings(method=request.param, epochs=4), held_out=held, say=said.append)
    assert said == []
    return request.param, folder, result


def test_it_learns(run: tuple[str, Path, Any]) -> None:
    _, folder, result = run
    assert result.after["ndcg@10"] > result.before["ndcg@10"] + 0.05
    losses = [line["loss"] for line in curve(folder) if "loss" in line]
    assert len(losses) == result.steps
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_the_result_loads_in_sentence_transformers_and_in_gemlet_with_the_same_vectors(run: Any, base: Path) -> None:
    _, folder, _ = run
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, prompt_name="query")
    found = Embedder(folder, quantization="f32").encode(TEXTS, prompt_name="query")
    assert np.abs(found - expected).max() < 1e-5
    before = Embedder(base, quantization="f32").encode(TEXTS, prompt_name="query")
    assert np.sum(before * found, axis=1).min() < 0.999


def test_everything_but_the_weights_is_the_bases_own(run: tuple[str, Path, Any], base: Path) -> None:
    _, folder, _ = run
    names = {path.relative_to(base) for path in base.rglob("*") if path.is_file()}
    made = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert made - names == {Path("README.md"), Path("curve.jsonl"), Path("curve.png")}
    for name in names:
        if name.suffix != ".safetensors":
            assert (folder / name).read_bytes() == (base / name).read_bytes()
    assert json.loads((folder / "config.json").read_text())["sliding_window"] == 512
    assert read_checkpoint(folder).tensors == read_checkpoint(base).tensors
    assert not folder.with_name(folder.name + ".run").exists()


def test_the_table_of_embeddings_stays_as_it_is(run: tuple[str, Path, Any], base: Path) -> None:
    method, folder, _ = run
    before, after = (load_student(path, settings(method="full")).state_dict() for path in (base, folder))
    same = {name for name in before if bool((before[name] == after[name]).all())}
    tables = {name for name in before if "embed_tokens" in name}
    norms = {name for name in before if "norm" in name}
    assert same == tables | (norms if method == "lora" else set())


def test_it_packs_into_one_file(run: tuple[str, Path, Any], tmp_path: Path) -> None:
    _, folder, _ = run
    write_gguf(folder, tmp_path / "tuned.gguf", dtype="f32")
    packed, exact = (Embedder(path).encode(TEXTS) for path in (tmp_path / "tuned.gguf", folder))
    assert np.sum(packed * exact, axis=1).min() > 0.99


def test_the_card_tells_what_was_done(run: tuple[str, Path, Any], base: Path) -> None:
    method, folder, result = run
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n")
    assert f"base_model: {json.dumps(str(base))}" in text
    assert "| 50 | pairs | pairs.jsonl | query, document |" in text
    assert ("LoRA of rank 16, merged" if method == "lora" else "all parameters but the token embeddings") in text
    assert f"| ndcg@10 | {result.before['ndcg@10']:.5f} | {result.after['ndcg@10']:.5f} |" in text
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


LABELLED = [{"text": f"{word} {i}", "label": word} for i in range(8) for word in ("refund", "delivery", "thanks")]
SCORED = [{"sentence1": f"a{i}", "sentence2": f"a{i % 3}", "score": float(i % 3 == i)} for i in range(24)]


@pytest.mark.parametrize(
    ("rows", "figure"), [(LABELLED, "accuracy"), (SCORED, "spearman"), (pairs(24, negatives=2), "ndcg@10")]
)
def test_every_kind_of_rows_trains(rows: list[Any], figure: str, base: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", rows)
    result = train(base, [path], tmp_path / "tuned", settings(eval_every=3), held_out=path)
    assert next(iter(result.before)) == figure
    assert result.steps == 3
    assert np.isfinite([line["loss"] for line in curve(tmp_path / "tuned") if "loss" in line]).all()


def test_several_sets_take_turns_with_prompts_and_losses_of_their_own(base: Path, tmp_path: Path) -> None:
    files = [write_rows(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate((LABELLED, SCORED, pairs(24)))]
    result = train(base, files, tmp_path / "tuned", settings(epochs=1))
    assert result.steps == 9
    card = (tmp_path / "tuned" / "README.md").read_text()
    assert "| 24 | scores | 1.jsonl | STS, STS |" in card
    assert "Nothing says" in card or "No rows were held out" in card


def test_small_pieces_give_the_gradients_of_the_whole_batch(base: Path, rows: Path, tmp_path: Path) -> None:
    for name, mini_batch in (("whole", 0), ("pieces", 3)):
        train(base, [rows], tmp_path / name, settings(method="full", mini_batch=mini_batch, steps=4))
    whole, pieces = ([line["loss"] for line in curve(tmp_path / name)] for name in ("whole", "pieces"))
    assert whole == pytest.approx(pieces, rel=1e-4)


@pytest.mark.parametrize("stored", ["npy", "column", "folder"])
def test_a_teacher_is_matched(stored: str, base: Path, tmp_path: Path) -> None:
    teacher = write_student(tmp_path / "teacher", seed=7)
    some = pairs(24)
    given = []
    if stored == "folder":
        given = [str(teacher)]
    else:
        embedder = Embedder(teacher, quantization="f32")
        texts = [(row["anchor"], row["positive"]) for row in some]
        vectors = np.stack(
            [embedder.encode_query([a for a, _ in texts]), embedder.encode_document([b for _, b in texts])], 1
        )
        np.save(tmp_path / "teacher.npy", vectors)
        given = [str(tmp_path / "teacher.npy")] if stored == "npy" else []
        some = (
            [row | {"teacher": vector.tolist()} for row, vector in zip(some, vectors, strict=True)]
            if not given
            else some
        )
    path = write_rows(tmp_path / "rows.jsonl", some)
    train(base, [path], tmp_path / "tuned", settings(steps=24, method="full"), teachers=given)
    matching = [line["matching"] for line in curve(tmp_path / "tuned")]
    assert 0 < np.mean(matching[-3:]) < np.mean(matching[:3])


def test_a_teachers_file_of_another_shape_is_refused(base: Path, rows: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "teacher.npy", np.zeros((7, 2, 64), np.float32))
    with pytest.raises(InputError, match=r"holds \[7, 2, 64\], and pairs.jsonl has 50 rows of 2 texts"):
        train(base, [rows], tmp_path / "tuned", settings(steps=2), teachers=[str(tmp_path / "teacher.npy")])


def test_no_padding_is_computed_and_the_vectors_are_the_engines(base: Path) -> None:
    student = load_student(base, settings(max_length=2048))
    assert student[0].model.config.sliding_window == WINDOW
    texts = [*TEXTS, "long " * 600]
    found = student.encode(texts, prompt_name="query")
    assert np.abs(found - Embedder(base, quantization="f32").encode(texts, prompt_name="query")).max() < 1e-5


def test_what_transformers_once_saved_as_257_is_the_same_window(base: Path, tmp_path: Path) -> None:
    folder = write_student(tmp_path / "saved", sliding_window=257)
    texts = ["long " * 600]
    assert np.array_equal(load_student(folder, settings()).encode(texts), load_student(base, settings()).encode(texts))
    train(folder, [write_rows(tmp_path / "rows.jsonl", pairs(8))], tmp_path / "tuned", settings())
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["sliding_window"] == 512


def test_texts_of_like_length_go_together() -> None:
    assert cut([5, 5, 5], 256) == [(0, 3)]
    assert cut([400, 10, 390, 12], 256) == [(0, 2), (2, 4)]
    assert cut([400, 10, 390, 12], 2048) == [(0, 4)]
    assert cut([7], 256) == [(0, 1)]
    lengths = np.random.default_rng(0).integers(5, 500, 64).tolist()
    pieces = cut(lengths, 256)
    assert [end for _, end in pieces[:-1]] == [begin for begin, _ in pieces[1:]]
    ordered = sorted(lengths, reverse=True)
    padded = sum(ordered[begin] * (end - begin) for begin, end in pieces)
    assert padded < 1.15 * sum(lengths)


def test_merged_lora_is_the_model_it_was_part_of(base: Path) -> None:
    import torch

    student = load_student(base, settings())
    with torch.no_grad():
        for name, value in student.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.05)
    before = student.encode(TEXTS)
    merge_lora(student)
    assert not [name for name, _ in student.named_parameters() if "lora" in name]
    assert np.abs(student.encode(TEXTS) - before).max() < 1e-5


def test_a_loss_that_is_no_number_ends_the_run_with_a_line(base: Path, rows: Path, tmp_path: Path) -> None:
    choices = settings(method="full", learning_rate=1e30, warmup=0.0, clip=1e30, steps=20, save_every=1)
    with pytest.raises(TrainingError, match=r"the loss of step \d+ is nan: a lower --lr"):
        train(base, [rows], tmp_path / "tuned", choices)
    assert not (tmp_path / "tuned").exists()


def test_mistakes_are_told_before_anything_is_loaded(base: Path, rows: Path, held: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="is there already"):
        train(base, [rows], tmp_path / "there", settings())
    with pytest.raises(InputError, match="there is no folder"):
        train(base, [rows], tmp_path / "no" / "tuned", settings())
    with pytest.raises(InputError, match="nothing to learn from"):
        train(base, [], tmp_path / "tuned", settings())
    with pytest.raises(InputError, match="2 teachers for 1 data sets"):
        train(base, [rows], tmp_path / "tuned", settings(), teachers=["a.npy", "b.npy"])
    with pytest.raises(InputError, match="64 numbers: leave out more"):
        train(base, [rows], tmp_path / "tuned", settings(loss={"dims": (768,)}))
    one = write_rows(tmp_path / "one.jsonl", pairs(1))
    with pytest.raises(InputError, match=r"one.jsonl: one anchor is too few to measure by"):
        train(base, [rows], tmp_path / "tuned2", settings(), held_out=one)
