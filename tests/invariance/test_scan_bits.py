"""A search finds the same rows with the same scores on every instruction set, with any threads, and after a fork."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gemlet import _core

RANDOM = np.random.default_rng(11)
N, DIM = 9_000, 768
CODES = RANDOM.integers(-127, 128, (N, DIM)).astype(np.int8)
CODES[RANDOM.integers(0, N, 3_000)] = CODES[0]  # a third are equal: most ties that can be
SCALES = np.ones(N, np.float32)
BITS = np.packbits(CODES > 0, axis=1)
QUERY = (CODES[0] + RANDOM.normal(size=DIM) * 40).astype(np.float32)
ALLOWED = np.packbits(RANDOM.random(N) < 0.5, bitorder="little")

Result = list[np.ndarray]


def everything(scanner: _core.Scanner) -> Result:
    query_bits = np.packbits(QUERY > 0)
    found: Result = []
    for allowed in (None, ALLOWED):
        for k in (1, 100, 4_000):
            found += scanner.int8(CODES, SCALES, QUERY, k, allowed)
            found += scanner.binary(BITS, query_bits, k, allowed)
            found += scanner.rescored(BITS, CODES, SCALES, query_bits, QUERY, k, 2 * k, allowed)
    return found


def same(found: Result, expected: Result) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))


EXPECTED = everything(_core.Scanner(1, "portable"))


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 33])
def test_each_instruction_set_and_number_of_threads(isa: str, threads: int) -> None:
    scanner = _core.Scanner(threads, isa)
    assert (scanner.isa, scanner.threads) == (isa, threads)
    assert same(everything(scanner), EXPECTED)


def test_many_threads_search_at_once() -> None:
    scanner = _core.Scanner(2)
    with ThreadPoolExecutor(6) as callers:
        assert all(callers.map(lambda _: same(everything(scanner), EXPECTED), range(12)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_searches() -> None:
    scanner = _core.Scanner(2)
    assert same(everything(scanner), EXPECTED)
    child = os.fork()
    if child == 0:
        os._exit(0 if same(everything(scanner), EXPECTED) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="cannot run the instruction set `pentium`"):
        _core.Scanner(1, "pentium")
    monkeypatch.setenv("GEMLET_ISA", "portable")
    assert _core.Scanner(1).isa == "portable"
