"""ScanFile: what is written is found, by the ids it was written with; and what quantise() keeps of a vector."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gemlet.errors import InputError, StoreError
from gemlet.scan import ScanFile, quantise, scanfile, writing
from gemlet.vectors import normalize

N, DIM = 2_500, 256
RANDOM = np.random.default_rng(5)
VECTORS = normalize(RANDOM.normal(size=(N, DIM)).astype(np.float32))
IDS = np.sort(RANDOM.choice(10**12, N, replace=False)).astype(np.int64)
QUERY = VECTORS[77]
CODES, SCALES = quantise(VECTORS)

Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


def chunks(size: int = 1_000) -> Iterator[Chunk]:
    for begin in range(0, N, size):
        part = slice(begin, begin + size)
        yield IDS[part], SCALES[part], CODES[part]


@pytest.fixture(params=["exact", "binary"])
def scan(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScanFile:
    """The same vectors in a file without bits, and in one with."""
    if request.param == "binary":
        monkeypatch.setattr(writing, "BINARY_FROM", 1_000)
    return written(tmp_path / "index.scan")


def written(path: Path, generation: int = 9) -> ScanFile:
    ScanFile.write(path, generation, DIM, chunks())
    found = ScanFile.open(path)
    assert found is not None
    return found


def test_quantise_keeps_direction_and_length() -> None:
    assert (CODES.dtype, SCALES.dtype) == (np.int8, np.float32)
    assert (np.abs(CODES).max(axis=1) == 127).all()
    decoded = CODES.astype(np.float64) * SCALES[:, None]
    assert np.abs(np.linalg.norm(decoded, axis=1) - 1).max() < 1e-6
    cosines = np.einsum("ij,ij->i", decoded, VECTORS)
    # Steps of some 3 sigma / 127: an error of 0.7% of sigma in each number, squared and halved
    assert (1 - cosines < 1e-4).all()
    assert (cosines <= 1 + 1e-6).all()


def test_quantise_row_by_row() -> None:
    for i in (0, 8, N - 1):
        codes, scales = quantise(VECTORS[i : i + 1])
        assert np.array_equal(codes[0], CODES[i])
        assert scales[0] == SCALES[i]


def test_quantise_of_nothing() -> None:
    codes, scales = quantise(np.zeros((1, 64), np.float32))
    assert not codes.any()
    assert scales.tolist() == [0]
    codes, scales = quantise(np.zeros((0, 64), np.float32))
    assert (codes.shape, scales.shape) == ((0, 64), (0,))


def test_what_is_written_is_there(scan: ScanFile) -> None:
    assert (len(scan), scan.generation, scan.dim) == (N, 9, DIM)
    assert np.array_equal(scan.ids, IDS)
    assert scan.verify()


def test_it_finds_the_nearest(scan: ScanFile) -> None:
    ids, cosines = scan.search(QUERY, 10)
    exact = VECTORS.astype(np.float64) @ QUERY.astype(np.float64)
    order = np.argsort(-exact)[:10]
    assert ids[0] == IDS[77]
    assert set(ids) == set(IDS[order])  # 4,000 candidates are all rows of this file
    assert np.abs(np.sort(cosines)[::-1] - exact[order]).max() < 2e-3
    assert (ids.dtype, cosines.dtype) == (np.int64, np.float32)


def test_exact_says_the_same_with_and_without_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = written(tmp_path / "plain.scan")
    monkeypatch.setattr(writing, "BINARY_FROM", 1_000)
    binary = written(tmp_path / "binary.scan")
    monkeypatch.setattr(scanfile, "CANDIDATES", 30)
    expected = plain.search(QUERY, 25)
    found = binary.search(QUERY, 25, exact=True)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_number_of_candidates_is_what_bounds_a_binary_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BINARY_FROM", 1_000)
    scan = written(tmp_path / "index.scan")
    monkeypatch.setattr(scanfile, "CANDIDATES", 1)
    monkeypatch.setattr(scanfile, "SHARE", 10**9)
    distance = np.unpackbits(np.packbits(CODES > 0, axis=1) ^ np.packbits(QUERY > 0), axis=1).sum(axis=1)
    nearest = IDS[np.argsort(distance, kind="stable")[: scan.candidates(3)]]
    ids, _ = scan.search(QUERY, 3)
    assert set(ids) <= set(nearest)


def test_only_what_is_allowed_is_found(scan: ScanFile) -> None:
    allowed = IDS % 3 == 0
    ids, _ = scan.search(QUERY, N, allowed)
    assert set(ids) == set(IDS[allowed])
    ids, cosines = scan.search(QUERY, 5, np.zeros(N, bool))
    assert (len(ids), len(cosines)) == (0, 0)


def test_threads_do_not_change_the_result(scan: ScanFile) -> None:
    expected = scan.search(QUERY, 50, threads=1)
    for threads in (2, 5):
        assert all(np.array_equal(a, b) for a, b in zip(scan.search(QUERY, 50, threads=threads), expected, strict=True))


@pytest.mark.parametrize(
    ("query", "k", "allowed", "message"),
    [
        (QUERY[:128], 3, None, r"shape \(128,\); the index holds vectors of 256 numbers"),
        (VECTORS[:2], 3, None, r"shape \(2, 256\)"),
        (QUERY * np.float32(np.nan), 3, None, "not finite"),
        (QUERY, -1, None, "k is -1"),
        (QUERY, 3, np.ones(N - 1, bool), r"`allowed` is bool \(2499,\): pass bool \(2500,\)"),
        (QUERY, 3, np.ones(N, np.uint8), "`allowed` is uint8"),
    ],
)
def test_a_search_that_does_not_fit(
    scan: ScanFile, query: np.ndarray, k: int, allowed: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        scan.search(query, k, allowed)


def test_an_empty_index(tmp_path: Path) -> None:
    for dim in (0, 768):
        ScanFile.write(tmp_path / "empty.scan", 1, dim, [])
        scan = ScanFile.open(tmp_path / "empty.scan")
        assert scan is not None
        ids, cosines = scan.search(np.ones(dim, np.float32), 5)
        assert (len(scan), len(ids), len(cosines)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids, scales, codes: (ids[1:], scales, codes), r"ids \(2499,\)"),
        (lambda ids, scales, codes: (ids, scales[1:], codes), r"scales \(2499,\)"),
        (
            lambda ids, scales, codes: (ids, scales, codes[:, :128]),
            r"codes are int8 \(2500, 128\).*pass int8 \[n, 256\]",
        ),
        (lambda ids, scales, codes: (ids, scales, codes.astype(np.float32)), "codes are float32"),
    ],
)
def test_chunks_that_do_not_fit_leave_the_old_file(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "index.scan"
    written(path)
    with pytest.raises(InputError, match=message):
        ScanFile.write(path, 10, DIM, [change(IDS, SCALES, CODES)])
    assert os.listdir(tmp_path) == ["index.scan"]
    assert written(path).generation == 9


@pytest.mark.parametrize("dim", [1, 100, 4128, -32])
def test_dimensions_that_cannot_be_searched(tmp_path: Path, dim: int) -> None:
    with pytest.raises(InputError, match=f"vectors have {dim} numbers; a multiple of 32"):
        ScanFile.write(tmp_path / "index.scan", 1, dim, [])
    assert os.listdir(tmp_path) == []


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "index.scan"
    written(path)

    def broken() -> Iterator[Chunk]:
        yield from chunks()
        raise OSError("the index went away")

    with pytest.raises(OSError, match="went away"):
        ScanFile.write(path, 10, DIM, broken())
    assert os.listdir(tmp_path) == ["index.scan"]
    found = ScanFile.open(path)
    assert found is not None
    assert found.generation == 9


def test_who_has_the_old_file_keeps_it(scan: ScanFile, tmp_path: Path) -> None:
    before = scan.search(QUERY, 5)
    ScanFile.write(scan.path, 10, DIM, [(IDS[:100], SCALES[:100], CODES[:100])])
    assert all(np.array_equal(a, b) for a, b in zip(scan.search(QUERY, 5), before, strict=True))
    fresh = ScanFile.open(scan.path)
    assert fresh is not None
    assert (len(fresh), fresh.generation) == (100, 10)


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f".{name}.0.tmp" for name in ("index.scan", "index.scan.1", "other.scan"))
    for left in (old, new, other):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    os.utime(other, (time.time() - 7200,) * 2)
    written(tmp_path / "index.scan")
    assert sorted(os.listdir(tmp_path)) == sorted([".index.scan.1.0.tmp", ".other.scan.0.tmp", "index.scan"])


def test_writers_and_readers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "index.scan"
    written(path)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            scan = ScanFile.open(path)
            if scan is None or scan.search(QUERY, 1)[0][0] != IDS[77]:
                wrong.append(scan)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for generation in range(40):
        ScanFile.write(path, generation, DIM, chunks())
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_a_file_that_is_cut_short_under_a_search_is_an_error(scan: ScanFile) -> None:
    scan.search(QUERY, 3)
    os.truncate(scan.path, 5_000)
    with pytest.raises(StoreError, match=r"index\.scan has become shorter while it was in use: search again"):
        scan.search(QUERY, 3)
