"""Vectors that are kept: embedded once, taken up after a kill, apart for each model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_tiny_checkpoint

from gemlet import Embedder
from gemlet.evaluation.kept import STEP, KeptVectors
from gemlet.evaluation.running import fingerprint
from gemlet.vectors import FloatArray

DIM = 4


class Counted:
    """Embeds a text as its length, and counts."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> FloatArray:
        self.seen += texts
        return np.array([[len(text), 0, 0, 1] for text in texts], np.float32)


def kept(folder: Path, embed: Counted) -> KeptVectors:
    return KeptVectors(folder, embed, dim=DIM)


def test_a_text_is_embedded_once_whoever_asks(tmp_path: Path) -> None:
    embed = Counted()
    vectors = kept(tmp_path / "v", embed)
    assert vectors.missing(["aa", "b", "aa"]) == ["aa", "b"]
    assert vectors.of(["aa", "b", "aa"])[:, 0].tolist() == [2, 1, 2]
    assert kept(tmp_path / "v", embed).of(["b", "ccc"])[:, 0].tolist() == [1, 3]
    assert embed.seen == ["aa", "b", "ccc"]
    assert vectors.of([]).shape == (0, DIM)


def test_progress_is_told_in_steps(tmp_path: Path) -> None:
    told: list[int] = []
    vectors = KeptVectors(tmp_path, Counted(), dim=DIM, progress=told.append)
    vectors.of([f"{i}" for i in range(STEP + 3)])
    assert told == [STEP, 3]


@pytest.mark.parametrize(("keys", "vectors"), [(7, 0), (0, 5), (16, 0), (0, 16), (3, 21)])
def test_what_a_kill_left_half_written_is_cut_off_and_made_again(tmp_path: Path, keys: int, vectors: int) -> None:
    kept(tmp_path, Counted()).of(["a", "bb", "ccc"])
    for name, lost in (("keys.bin", keys), ("vectors.bin", vectors)):
        path = tmp_path / name
        os.truncate(path, path.stat().st_size - lost)
    again = Counted()
    assert kept(tmp_path, again).of(["a", "bb", "ccc"])[:, 0].tolist() == [1, 2, 3]
    assert again.seen
    assert kept(tmp_path, Counted()).missing(["a", "bb", "ccc"]) == []


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from gemlet.evaluation.kept import KeptVectors, STEP

def embed(texts):
    if len(texts) < STEP:
        print("second", flush=True)
        time.sleep(60)
    return np.ones((len(texts), 4), np.float32)

KeptVectors(Path(sys.argv[1]), embed, dim=4).of([f"{i:04}" for i in range(STEP + 9)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_after_kill_9_only_what_was_not_written_is_embedded(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "second\n"
        process.send_signal(signal.SIGKILL)
    assert len(kept(tmp_path, Counted()).missing([f"{i:04}" for i in range(STEP + 9)])) == 9


def test_another_model_or_quantization_has_another_fingerprint(
    tiny: Embedder, tiny_f32: Embedder, tmp_path: Path
) -> None:
    other = Embedder(write_tiny_checkpoint(tmp_path / "other", seed=1))
    shorter = Embedder(tiny.name, max_seq_length=1000)
    prints = {fingerprint(model) for model in (tiny, tiny_f32, other, shorter)}
    assert len(prints) == 4
    assert fingerprint(Embedder(tiny.name, threads=1)) == fingerprint(tiny)
