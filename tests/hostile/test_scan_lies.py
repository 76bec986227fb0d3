"""Each way in which INDEX.scan can be damaged, old or forged: it is then not there, and is written again."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gemlet import _core
from gemlet.scan import ScanFile, layout, quantise, writing
from gemlet.vectors import normalize

N, DIM = 300, 64
VECTORS = normalize(np.random.default_rng(3).normal(size=(N, DIM)).astype(np.float32))
CODES, SCALES = quantise(VECTORS)
HEADER = struct.Struct("<8sIIqQQ4Q")
FIELDS = ("magic", "version", "dim", "generation", "n", "binary", "codes", "scales", "ids", "bits")


@pytest.fixture(params=[False, True], ids=["exact", "binary"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param:
        monkeypatch.setattr(writing, "BINARY_FROM", 100)
    ScanFile.write(tmp_path / "index.scan", 7, DIM, [(np.arange(N), SCALES, CODES)])
    assert ScanFile.open(tmp_path / "index.scan") is not None
    return tmp_path / "index.scan"


def forge(path: Path, **fields: object) -> None:
    """Change fields of the header, and its checksum with them."""
    content = bytearray(path.read_bytes())
    values = dict(zip(FIELDS, HEADER.unpack_from(content), strict=True)) | fields
    head = HEADER.pack(*values.values())
    content[: len(head)] = head
    struct.pack_into("<Q", content, len(head), _core.checksum(np.frombuffer(head, np.uint8)))
    path.write_bytes(content)


def test_the_forger_can_forge(path: Path) -> None:
    forge(path, generation=8)
    scan = ScanFile.open(path)
    assert scan is not None
    assert scan.generation == 8


@pytest.mark.parametrize(
    "fields",
    [
        {"magic": b"gemlscam"},
        {"version": 0},
        {"version": 2},
        *({"n": n} for n in (0, 1, N - 1, N + 1, 2 * N, 2**32, 2**60, 2**64 - 1)),
        *({"dim": dim} for dim in (0, 32, 63, 65, 128, 4096, 8192, 2**32 - 1)),
        {"n": N // 2, "dim": 2 * DIM},
        {"n": 2**62, "dim": 4096},
        {"binary": 2},
        {"n": 0, "dim": 0},
        *({part: 0} for part in ("scales", "ids")),
    ],
)
def test_lies(path: Path, fields: dict[str, object]) -> None:
    forge(path, **fields)
    assert ScanFile.open(path) is None


def test_vectors_of_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "index.scan"
    ScanFile.write(path, 7, 0, [])
    forge(path, n=10)
    path.write_bytes(path.read_bytes() + bytes(64 + 128))
    assert ScanFile.open(path) is None


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 79, 80, 88, 4095, 4096, 4097, 10_000, -64, -1])
def test_truncated(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert ScanFile.open(path) is None


@pytest.mark.parametrize("more", [1, 64, 100_000])
def test_too_long(path: Path, more: int) -> None:
    path.write_bytes(path.read_bytes() + bytes(more))
    assert ScanFile.open(path) is None


def test_every_flipped_bit_of_the_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(HEADER.size + 8):
        for bit in (0, 3, 7):
            content[at] ^= 1 << bit
            path.write_bytes(content)
            assert ScanFile.open(path) is None
            content[at] ^= 1 << bit


def test_flipped_bits_in_what_every_search_reads(path: Path) -> None:
    """All but padding, and the codes behind bits, which verify() finds."""
    whole = path.read_bytes()
    header = layout.read_header(whole[:4096])
    assert header is not None
    for part in layout.DTYPES:
        begin = header.layout.offset(part)
        size = header.layout.array(whole, part).nbytes
        for at in range(begin, begin + size, 97):
            content = bytearray(whole)
            content[at] ^= 1 << at % 8
            path.write_bytes(content)
            scan = ScanFile.open(path)
            if part == "codes" and header.layout.binary:
                assert scan is not None
                assert not scan.verify()
            else:
                assert scan is None


def test_scales_that_are_no_numbers_are_not_found(path: Path) -> None:
    """A forged file cannot make a search return what is no number, or crash."""
    content = bytearray(path.read_bytes())
    header = layout.read_header(bytes(content[:4096]))
    assert header is not None
    scales = np.frombuffer(content, np.float32, N, header.layout.offset("scales"))
    scales[:] = np.resize(np.array([np.nan, np.inf, -np.inf, 1], np.float32), N)
    total = _core.checksum(scales.view(np.uint8))
    path.write_bytes(content)
    forge(path, scales=total)
    scan = ScanFile.open(path)
    assert scan is not None
    _, cosines = scan.search(VECTORS[0], N)
    assert not np.isnan(cosines).any()


@pytest.mark.parametrize(
    "place",
    [
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(100_000)),
        lambda path: (path.unlink(), path.symlink_to(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    ],
    ids=["missing", "folder", "empty", "random", "loop", "device"],
)
def test_what_is_no_file_of_ours(path: Path, place: Callable[[Path], object]) -> None:
    place(path)
    assert ScanFile.open(path) is None


@pytest.mark.skipif(os.name == "nt", reason="sets a limit that Windows does not have")
def test_a_full_disk_leaves_the_old_file(path: Path) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (100, 4096, 10_000, os.path.getsize(path) - 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            with pytest.raises(OSError, match="File too large"):
                ScanFile.write(path, 8, DIM, [(np.arange(N), SCALES, CODES)])
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert os.listdir(path.parent) == ["index.scan"]
            scan = ScanFile.open(path)
            assert scan is not None
            assert scan.generation == 7
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
