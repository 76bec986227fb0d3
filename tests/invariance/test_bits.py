"""A text's vector is the same bits alone and in any batch, in any order, with any number of threads."""

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemlet import Embedder, _core
from gemlet.checkpoint import read_checkpoint
from gemlet.verify import load_goldens

WORDS = ["the", "red", "planet", "of", "ancient", "gods", "is", "seen", "at", "night", "when", "other", "stars", "fade"]


def texts_of(lengths: list[int]) -> list[str]:
    source = random.Random(7)
    return [" ".join(source.choices(WORDS, k=n)) for n in lengths]


LENGTHS = [0, 1, 2, 3, 5, 9, 16, 17, 31, 47, 48, 49, 64, 100, 200, 257, 300, 400]


def check(embedder: Embedder, texts: list[str], others: list[Embedder]) -> None:
    alone = np.stack([embedder.encode(text) for text in texts])
    order = random.Random(1).sample(range(len(texts)), len(texts))
    for other in [embedder, *others]:
        assert np.array_equal(other.encode(texts), alone)
        assert np.array_equal(other.encode([texts[i] for i in order]), alone[order])
        assert np.array_equal(other.encode(texts, batch_size=3), alone)


@pytest.mark.parametrize("quantization", ["f32", "bf16", "q8_0"])
def test_tiny(tiny_checkpoint: Path, quantization: str) -> None:
    base = Embedder(tiny_checkpoint, quantization=quantization, threads=1)
    others = [
        Embedder(tiny_checkpoint, quantization=quantization, threads=threads, token_budget=budget)
        for threads, budget in [(1, 64), (2, 2048), (3, 1), (5, 100_000)]
    ]
    check(base, texts_of(LENGTHS), others)


@pytest.mark.parametrize("quantization", ["f32", "q8_0"])
def test_each_instruction_set(
    tiny_checkpoint: Path, isa: str, quantization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = texts_of(LENGTHS)
    best = Embedder(tiny_checkpoint, quantization=quantization).encode(texts)
    monkeypatch.setenv("GEMLET_ISA", isa)
    forced = Embedder(tiny_checkpoint, quantization=quantization)
    assert forced.isa == isa
    check(forced, texts, [])
    if (quantization, isa) == ("f32", "portable"):  # rounds each product: 1e-6 is some 10 ulp of the largest number
        assert np.abs(forced.encode(texts) - best).max() < 1e-6
    else:
        assert np.array_equal(forced.encode(texts), best)


def test_an_unknown_instruction_set_is_refused(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMLET_ISA", "pentium")
    with pytest.raises(ValueError, match="GEMLET_ISA is `pentium`"):
        Embedder(tiny_checkpoint)


def test_many_threads_call_at_once(tiny: Embedder) -> None:
    texts = texts_of(LENGTHS * 3)
    alone = tiny.encode(texts)
    with ThreadPoolExecutor(8) as callers:
        results = list(callers.map(lambda _: tiny.encode(texts), range(16)))
    assert all(np.array_equal(result, alone) for result in results)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_works(tiny: Embedder) -> None:
    texts = texts_of(LENGTHS)
    expected = tiny.encode(texts)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        same = np.array_equal(tiny.encode(texts), expected)
        os.write(write, b"same" if same else b"other")
        os._exit(0)
    assert os.read(read, 8) == b"same"
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(tiny.encode(texts), expected)


@pytest.mark.parametrize("quantization", ["f32", "q8_0"])
def test_the_real_model(checkpoint: Path, quantization: Any) -> None:
    texts = texts_of([0, 1, 8, 30, 60, 255, 300, 520])
    base, alone, small = (
        Embedder(checkpoint, quantization=quantization, **options)
        for options in ({}, {"threads": 1}, {"threads": 2, "token_budget": 700})
    )
    check(base, texts, [alone, small])


def test_the_real_model_on_each_instruction_set(
    checkpoint: Path, embedder: Embedder, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [golden for golden in load_goldens() if golden.id in {"lang-te", "lang-el", "len-258", "len-771"}]
    texts = [golden.prompted for golden in chosen]
    assert max(golden.tokens for golden in chosen) > 600
    monkeypatch.setenv("GEMLET_ISA", isa)
    forced = Embedder(checkpoint)
    assert forced.isa == isa
    assert np.array_equal(forced.encode(texts), embedder.encode(texts))


def test_hidden_states_do_not_depend_on_neighbours(tiny_checkpoint: Path) -> None:
    settings = read_checkpoint(tiny_checkpoint)
    model = _core.Model(settings.config, settings.weights, "f32", 2)
    random_ids = np.random.default_rng(0).integers(3, 500, 700).astype(np.int32)
    together = model.hidden_states(random_ids, np.array([0, 33, 640, 700], np.int32), 2)
    alone = model.hidden_states(random_ids[33:640], np.array([0, 607], np.int32), 2)
    assert np.array_equal(together[33:640], alone)


def test_the_command_line_gives_the_real_models_bits(checkpoint: Path, embedder: Embedder) -> None:
    texts = texts_of([1, 8, 60, 300])
    command = [sys.executable, "-m", "gemlet", "embed", "--model", str(checkpoint), "--threads", "1", "--task", "query"]
    done = subprocess.run(command, input="\n".join(texts), capture_output=True, text=True, check=True)
    rows = np.array([json.loads(line)["embedding"] for line in done.stdout.splitlines()], np.float32)
    assert np.array_equal(rows, embedder.encode_query(texts))
