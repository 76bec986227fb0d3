"""The fuzz targets follow the engine: `make fuzz` needs clang and runs seldom, but any compiler sees what they lack."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "fuzz").glob("*.cpp")), ids=lambda path: path.stem)
def test_a_fuzz_target_compiles(path: Path) -> None:
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-I", str(ROOT / "native"), str(path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
