"""`--device` as a user meets it, on the tiny model and without a GPU."""

import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from published_data import write_all

from gemlet import Embedder
from gemlet.cli.main import main

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

Run = Callable[..., subprocess.CompletedProcess[str]]
TEXTS = ["a cat sat on the mat", "quantum chromodynamics", "x"]


@pytest.fixture
def run(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb in this process, where PyTorch is imported already."""

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main() puts its own in its place
    monkeypatch.setattr(gc, "freeze", lambda: None)  # this process is not on its way out

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["gemlet", *map(str, arguments), "--model", str(tiny_checkpoint)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, said.out, said.err)

    return run


def fails(done: subprocess.CompletedProcess[str], code: int, said: str) -> None:
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_embed_gives_the_vectors_in_the_order_of_the_texts(run: Run, tiny_f32: Embedder) -> None:
    done = run("embed", "--device", "torch:cpu", "--quantization", "f32", *TEXTS)
    assert done.returncode == 0, done.stderr
    given = [json.loads(line)["embedding"] for line in done.stdout.splitlines()]
    # Two orders of float32 sums, over two layers.
    assert np.abs(np.array(given) - tiny_f32.encode(TEXTS)).max() < 2e-6


def test_bulk_takes_it_too_and_an_output_is_gone_on_with_on_the_same_kind(
    run: Run, tiny_f32: Embedder, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    options = ("bulk", tmp_path / "texts.txt", tmp_path / "out", "--task", "none", "--quantization", "f32")
    done = run(*options, "--device", "torch:cpu")
    assert done.returncode == 0, done.stderr
    given = pq.read_table(tmp_path / "out").column("vector").to_pylist()
    assert np.abs(np.array(given) - tiny_f32.encode(TEXTS)).max() < 2e-6
    fails(run(*options), 2, "was begun with device gpu, not cpu: take the same to go on with it")
    assert run(*options, "--device", "torch:cpu").stdout.startswith(f"{tmp_path}/out: 3 vectors")


def figures(told: Any) -> list[float]:
    return [row["score"] for row in told] if isinstance(told, list) else [row["value"] for row in told["figures"]]


def test_eval_scores_what_a_processor_scores(run: Run, tmp_path: Path) -> None:
    data = write_all(tmp_path / "data")
    pairs = tmp_path / "pairs.csv"
    rows = [f"{a},{b},{len(a)}\n" for a, b in combinations([*TEXTS, "the red planet", "a book"], 2)]
    pairs.write_text("sentence1,sentence2,score\n" + "".join(rows))
    options = ("eval", "--quantization", "f32", "--json")
    published = ("--data-dir", data, "--tasks", "STS13", "--results", tmp_path / "results")
    for what in (published, ("--pairs", pairs)):
        cpu, torch_ = (run(*options, *what, "--device", device) for device in ("cpu", "torch:cpu"))
        assert cpu.returncode == torch_.returncode == 0, torch_.stderr
        (figure, *_), (same, *_) = (figures(json.loads(done.stdout)) for done in (cpu, torch_))
        assert figure == pytest.approx(same, abs=1e-6)  # of ranks: other sums move none here
    assert len(list((tmp_path / "results" / "vectors").iterdir())) == 2  # by other sums, so kept apart


def test_a_dry_run_says_what_it_was_measured_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    options = ("bulk", tmp_path / "texts.txt", tmp_path / "out", "--dry-run", "--device", "torch:cpu")
    assert "in one process on torch:cpu, at" in run(*options).stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "x"],
        ["verify"],
        ["serve", "--port", "0"],
        ["bulk", "{texts}", "{out}"],
        ["eval", "--labels", "{labels}"],
    ],
)
def test_without_a_gpu_every_verb_says_so_in_one_line(arguments: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("x\n")
    (tmp_path / "labels.csv").write_text("text,label\n" + "".join(f"{i},{i % 2}\n" for i in range(8)))
    files = {"texts": tmp_path / "texts.txt", "labels": tmp_path / "labels.csv", "out": tmp_path / "out"}
    named = [word.format(**files) for word in arguments]
    done = run(*named, "--device", "cuda")
    fails(done, 2, "device is 'cuda', but PyTorch ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ray_gives_out_the_gpus_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("x\n")
    done = run("bulk", tmp_path / "texts.txt", tmp_path / "out", "--ray", "--device", "cuda:1")
    fails(done, 2, "take --device cuda")


def test_an_unknown_device_and_a_missing_extra_are_told(run: Run, tiny_checkpoint: Path) -> None:
    fails(run("embed", "x", "--device", "gpu"), 2, "device is 'gpu'; available: cpu, cuda")
    code = (
        "import sys; sys.modules['torch'] = None; from gemlet.cli.main import main; "
        f"sys.argv = ['gemlet', 'embed', 'x', '--device', 'cuda', '--model', {str(tiny_checkpoint)!r}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    fails(done, 3, "device 'cuda' needs an extra: pip install 'gemlet[gpu]'")
