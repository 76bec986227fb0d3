"""The same bits on every CPU: golden texts and searches through the engine here, and through it on emulated CPUs.

    check.py NATIVE ARM [--tiny | --file FILE.gguf ...]

NATIVE and ARM are tests/arm/vectors.cpp, built for x86-64 and for aarch64 (`make test-arm` does that); beside each lies
`scan`, tests/arm/scan.cpp. The checkpoint is $GEMLET_CHECKPOINT or the published one in the cache; --tiny: the two
layers of tests/tiny_model.py, in seconds; --file: what `gemlet quantize` has written, where the minutes that Q4_0 takes
were spent before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_model import write_tiny_checkpoint

from gemlet.gguf import WeightType, write_gguf
from gemlet.pretrained import find

TEXTS = 5
LONGEST = 90  # characters: an emulated CPU takes seconds for each text


@dataclass(frozen=True)
class Cpu:
    """An emulated CPU, and the instruction set that the engine must choose on it."""

    emulator: str
    name: str
    isa: str

    @property
    def command(self) -> list[str]:
        libraries = ["-L", "/usr/aarch64-linux-gnu"] if self.emulator == "qemu-aarch64" else []
        return [self.emulator, *libraries, "-cpu", self.name]


CPUS = [
    Cpu("qemu-x86_64", "Haswell", "avx2"),
    Cpu("qemu-aarch64", "cortex-a72", "neon"),
    Cpu("qemu-aarch64", "neoverse-n1", "neondot"),
    Cpu("qemu-aarch64", "max", "neoni8mm"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path)
    parser.add_argument("arm", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a two-layer model instead of the published checkpoint")
    parser.add_argument("--file", type=Path, action="append", default=[], help="take this file, write none")
    options = parser.parse_args()
    programs = {"qemu-x86_64": options.native, "qemu-aarch64": options.arm}
    with tempfile.TemporaryDirectory() as scratch:
        passed = search_everywhere(programs)
        for path in options.file or written(Path(scratch), options.tiny):
            here = vectors([options.native], path)
            print(f"{path.stem}  {here[0]} on this CPU: {len(here) - 1} vectors", flush=True)
            for cpu in CPUS:
                passed &= same(cpu, programs[cpu.emulator], path, here[1:])
    sys.exit(not passed)


def written(scratch: Path, tiny: bool) -> Iterator[Path]:
    """A file of each type, gone when the next is asked for."""
    folder = write_tiny_checkpoint(scratch / "tiny") if tiny else checkpoint()
    # f32 is the one type whose bits depend on whether the CPU fuses; all of these CPUs do. The published weights would
    # take 1.2 GB for it and prove no more than the two layers do.
    for dtype in get_args(WeightType) if tiny else [t for t in get_args(WeightType) if t.startswith("q")]:
        path = scratch / f"{dtype}.gguf"
        write_gguf(folder, path, dtype=dtype)
        yield path
        path.unlink()


def search_everywhere(programs: dict[str, Path]) -> bool:
    """Whether each emulated CPU finds in seeded vectors what this one finds."""
    here = output([programs["qemu-x86_64"].with_name("scan")])
    print(f"scan  {here[0]} on this CPU: {len(here) - 1} searches", flush=True)
    passed = True
    for cpu in CPUS:
        begin = time.perf_counter()
        found = output([*cpu.command, programs[cpu.emulator].resolve().with_name("scan")])
        passed &= says_the_same("scan", cpu, found, here[1:], time.perf_counter() - begin)
    return passed


def checkpoint() -> Path:
    return Path(os.environ.get("GEMLET_CHECKPOINT") or find("google/embeddinggemma-300m"))


def texts() -> list[str]:
    """A few short golden texts in as many languages, spread over all of them."""
    goldens = json.loads((files("gemlet") / "goldens" / "goldens.json").read_text("utf-8"))["texts"]
    short = [g["text"] for g in goldens if g["id"].startswith("lang-") and len(g["text"]) <= LONGEST]
    return short[:: len(short) // TEXTS][:TEXTS]


def vectors(command: list[str | Path], path: Path) -> list[str]:
    """The instruction set, and the bits of each text's vector."""
    return output([*command, path, "2"], "\n".join(texts()))


def output(command: list[str | Path], given: str = "") -> list[str]:
    """A program's lines."""
    run = subprocess.run(command, input=given.encode(), capture_output=True)
    if run.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {run.returncode}: {run.stderr.decode()}")
    return run.stdout.decode().split("\n")[:-1]


def same(cpu: Cpu, program: Path, path: Path, expected: list[str]) -> bool:
    """Whether the emulated CPU gives the same bits."""
    begin = time.perf_counter()
    found = vectors([*cpu.command, program.resolve()], path)
    return says_the_same(path.stem, cpu, found, expected, time.perf_counter() - begin)


def says_the_same(what: str, cpu: Cpu, found: list[str], expected: list[str], seconds: float) -> bool:
    """Whether a program gave these lines on the instruction set that it should; says so in one line."""
    isa, *got = found
    other = [i for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b]
    faults = [f"the engine chose {isa} instead of {cpu.isa}"] if isa != cpu.isa else []
    faults += [f"other bits in {len(other)} of {len(expected)} results, first in number {other[0]}"] if other else []
    result = "; ".join(faults) or "the same bits"
    print(f"{what}  {cpu.isa} on {cpu.emulator} -cpu {cpu.name}: {result}   ({seconds:.0f} s)", flush=True)
    return not faults


if __name__ == "__main__":
    main()
