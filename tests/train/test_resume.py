"""A run that was killed, stopped or had no room goes on as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import KILLED, SAVE_EVERY, STEPS, choices
from safetensors.numpy import load_file
from training import curve, settings

import gemlet
from gemlet.errors import InputError
from gemlet.train import train
from gemlet.train.checkpoints import find_checkpoint, run_folder

HERE = Path(__file__).parent


def in_a_process(script: str, *arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """The process with as many threads as this one, on which the order of PyTorch's sums depends.

    This one need not have those of OMP_NUM_THREADS: numba, once it has run something in parallel, has set its own.
    """
    places = [str(HERE), str(HERE.parent), str(Path(gemlet.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


def same_weights(one: Path, other: Path) -> bool:
    return all(
        (one / name).read_bytes() == (other / name).read_bytes()
        for name in ("model.safetensors", "2_Dense/model.safetensors", "3_Dense/model.safetensors")
    )


@pytest.fixture(scope="module")
def whole(base: Path, rows: Path, held: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    for method in ("lora", "full"):
        train(base, [rows], folder / method, choices(method), held_out=held)
    return {method: folder / method for method in ("lora", "full")}


@pytest.mark.parametrize(("method", "where"), [("lora", "step"), ("full", "checkpoint"), ("full", "export")])
def test_a_killed_run_goes_on_to_the_same_numbers(
    method: str, where: str, base: Path, rows: Path, held: Path, tmp_path: Path, whole: dict[str, Path]
) -> None:
    output = tmp_path / "tuned"
    done = in_a_process("killed.py", base, rows, held, output, method, where)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not output.exists()
    begun, step = len(curve(run_folder(output))), find_checkpoint(run_folder(output)).step
    assert step in {"step": [SAVE_EVERY * 2], "checkpoint": [3, 4], "export": [STEPS]}[where]
    said: list[str] = []
    train(base, [rows], output, choices(method), held_out=held, say=said.append)
    assert said == [f"{run_folder(output)}: going on after step {step} of {STEPS}"]
    assert begun > 3
    assert curve(output) == curve(whole[method])
    assert (output / "curve.jsonl").read_bytes() == (whole[method] / "curve.jsonl").read_bytes()
    assert same_weights(output, whole[method])


@pytest.fixture
def stopped(base: Path, rows: Path, held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The result's folder of a run that Ctrl-C stopped in its eighth step."""
    from gemlet.train.trainer import Trainer

    step = Trainer.training_step

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        if self.state.global_step == KILLED - 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", interrupted)
        said: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            train(base, [rows], tmp_path / "tuned", choices("lora"), held_out=held, say=said.append)
    assert said == [f"stopped after step {KILLED} of {STEPS}: the same command goes on from there"]
    return tmp_path / "tuned"


def test_ctrl_c_keeps_the_step_that_it_fell_into(
    stopped: Path, base: Path, rows: Path, held: Path, whole: dict[str, Path]
) -> None:
    assert find_checkpoint(run_folder(stopped)).step == KILLED
    train(base, [rows], stopped, choices("lora"), held_out=held)
    assert curve(stopped) == curve(whole["lora"])
    assert same_weights(stopped, whole["lora"])


@pytest.mark.parametrize("harm", ["shorter", "other", "missing", "seal"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    harm: str, stopped: Path, base: Path, rows: Path, held: Path, whole: dict[str, Path]
) -> None:
    folder = run_folder(stopped)
    newest = folder / f"checkpoint-{KILLED}"
    file = newest / ("seal.json" if harm == "seal" else "optimizer.pt")
    content = bytearray(file.read_bytes())
    if harm == "missing":
        file.unlink()
    elif harm == "shorter":
        file.write_bytes(content[:-1])
    else:
        content[len(content) // 2] ^= 1 if harm == "other" else 0xFF
        file.write_bytes(content)
    said: list[str] = []
    train(base, [rows], stopped, choices("lora"), held_out=held, say=said.append)
    assert said[0].startswith(f"{newest} is damaged (")
    assert said[0].endswith(") and is not read")
    assert curve(stopped) == curve(whole["lora"])
    assert same_weights(stopped, whole["lora"])


def test_a_run_goes_on_with_what_it_was_begun_with(stopped: Path, base: Path, rows: Path, held: Path) -> None:
    with pytest.raises(InputError, match=r"tuned.run was begun with batch 8, not 16: give the same to go on"):
        train(base, [rows], stopped, replace(choices("lora"), batch=16), held_out=held)
    before = rows.read_text()
    other = stopped.parent / rows.name
    other.write_text(before.replace('"positive": "', '"positive": "z', 1))
    with pytest.raises(InputError, match=r"was begun with rows of pairs.jsonl"):
        train(base, [other], stopped, choices("lora"), held_out=held)
    shutil.rmtree(run_folder(stopped))


LIMITED = """
import resource, sys
from training import settings
from gemlet.errors import TrainingError
from gemlet.train import train
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    train(sys.argv[1], [sys.argv[2]], sys.argv[3], settings(method="full", steps=12, save_every=3))
except TrainingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("room", "what"), [(200_000, "the checkpoint of step 3"), (400_000, "the checkpoint of step 3")]
)
def test_a_full_disk_is_one_line_and_with_room_the_run_goes_on(
    room: int, what: str, base: Path, rows: Path, tmp_path: Path
) -> None:
    """A limit on the size of a file stands for the disk: what the system answers is the same kind of error."""
    (tmp_path / "limited.py").write_text(LIMITED)
    output = tmp_path / "tuned"
    done = in_a_process(str(tmp_path / "limited.py"), base, rows, output, room)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert done.stdout.startswith(f"cannot write {what} in {run_folder(output)}: ")
    assert not list(run_folder(output).glob(".checkpoint-*"))
    assert not output.exists()
    train(base, [rows], output, settings(method="full", steps=12, save_every=3))
    assert len(curve(output)) == 12


def test_two_processes_do_what_one_does(
    base: Path, rows: Path, held: Path, tmp_path: Path, whole: dict[str, Path]
) -> None:
    output = tmp_path / "tuned"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(gemlet.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    }
    options = [
        "--output", output, "--held-out", held, "--model", base, "--full", "--dims", "64,32", "--batch", 8,
        "--lr", "1e-3",
        "--steps", STEPS, "--save-every", SAVE_EVERY, "--eval-every", 4, "--patience", 0,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gemlet",
         "train", str(rows), *map(str, options)],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone = [line["loss"] for line in curve(whole["full"]) if "loss" in line]
    together = [line["loss"] for line in curve(output) if "loss" in line]
    assert len(together) == STEPS
    # The first pass ends in a batch of two rows; until then both see the same rows, and after it too.
    assert together == pytest.approx(alone, rel=1e-3)
    one, other = (load_file(folder / "model.safetensors") for folder in (output, whole["full"]))
    assert one.keys() == other.keys()
    assert not run_folder(output).exists()
