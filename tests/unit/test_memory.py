"""Memory: how the engine will hold a checkpoint's matrices, and what memory that takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from gemlet import Embedder, _core
from gemlet.checkpoint import packed_sizes, peak_memory, read_checkpoint, storage_of
from gemlet.gguf import write_gguf

PEAK = """
import re, sys, warnings
from pathlib import Path
from gemlet import Embedder
from gemlet.errors import TruncationWarning
warnings.simplefilter("ignore", TruncationWarning)
Embedder(sys.argv[1], quantization=sys.argv[2]).encode("red " * int(sys.argv[3]))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_packed_sizes_are_the_kernels_own(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(tiny_checkpoint, file)
    gguf = _core.Gguf.open(str(file))
    matrices = [n for n, (_, shape) in gguf.tensors.items() if len(shape) == 2 and n != "embed_tokens.weight"]
    expected = {"int8": 0, "bf16": 0}
    for name in matrices:
        kind = "bf16" if name.startswith("dense.") else "int8"
        expected[kind] += gguf.packed_size(name, kind)
    sizes = packed_sizes(read_checkpoint(file), "int8")
    assert sizes["bf16"] == expected["bf16"]
    assert sizes["int8"] == pytest.approx(expected["int8"], rel=0.03)  # rows of 64 have a whole group's scale


def test_the_published_checkpoints_sizes_are_the_kernels_own(checkpoint: Path) -> None:
    settings = read_checkpoint(checkpoint)
    body, *head = [_core.open_safetensors(file) for file, _ in settings.weights]
    matrices = [n for n, (_, shape) in body.tensors.items() if len(shape) == 2 and n != "embed_tokens.weight"]
    assert packed_sizes(settings, "int8") == {
        "int8": sum(body.packed_size(name, "int8") for name in matrices),
        "bf16": sum(part.packed_size("linear.weight", "bf16") for part in head),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("quantization", ["q8_0", "f32"])
@pytest.mark.parametrize("tokens", [18, 2048])
def test_the_memory_is_what_a_process_takes(
    checkpoint: Path, embedder: Embedder, quantization: str, tokens: int
) -> None:
    """`embedder` has written the 8-bit file."""
    assert embedder.quantization == "q8_0"
    command = [sys.executable, "-c", PEAK, str(checkpoint), quantization, str(tokens)]
    peak = 1024 * int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    settings = read_checkpoint(checkpoint)
    _, storage = storage_of(settings, quantization)
    assert peak_memory(settings, storage, tokens) == pytest.approx(peak, rel=0.1)
