"""The fair queue and the cache: nobody waits behind a flood, nothing is lost, nothing grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("msgspec")
pytest.importorskip("prometheus_client")
pytest.importorskip("httptools")
pytest.importorskip("uvicorn")

from gemlet.server.cache import Cache
from gemlet.server.turns import Job, Turns


def jobs(owner: str, *lengths: int, kind: str = "sentence") -> list[Job]:
    made = []
    for number, length in enumerate(lengths):
        job = Job((kind, f"{owner}{number}".encode()), np.zeros(length, np.int32))
        job.takers.append((owner, number))
        made.append(job)
    return made


def names(taken: list[Job]) -> list[str]:
    return [job.key[1].decode() for job in taken]


def test_a_lone_query_goes_before_the_rest_of_a_flood() -> None:
    turns = Turns()
    turns.add(jobs("flood", *[200] * 10_000))
    assert names(turns.take(512)) == ["flood0", "flood1"]
    turns.add(jobs("query", 18))
    assert names(turns.take(512)) == ["query0", "flood2", "flood3"]


def test_a_flood_of_requests_holds_a_query_up_no_more_than_one_with_many_texts() -> None:
    turns = Turns()
    for number in range(500):
        turns.add(jobs(f"flood{number}-", 200))
    turns.take(512)
    turns.add(jobs("query", 18))
    assert names(turns.take(512))[0] == "query0"


def test_queries_without_end_do_not_starve_a_long_text() -> None:
    turns = Turns()
    turns.add(jobs("long", 2000))
    for number in range(1000):
        turns.add(jobs(f"query{number}-", 18))
        if names(turns.take(18)) == ["long0"]:
            break
    assert number <= 2 * 2000 / 18  # an equal share each


def test_requests_share_in_turn() -> None:
    turns = Turns()
    turns.add(jobs("a", *[100] * 4))
    turns.add(jobs("b", *[100] * 4))
    assert names(turns.take(400)) == ["a0", "b0", "a1", "b1"]


def test_a_batch_holds_the_budget_and_a_longer_sequence_goes_alone() -> None:
    turns = Turns()
    turns.add(jobs("a", 300, 212, 1, 2048, 5))
    assert names(turns.take(512)) == ["a0", "a1"]
    assert names(turns.take(512)) == ["a2"]
    assert names(turns.take(512)) == ["a3"]
    assert names(turns.take(512)) == ["a4"]
    assert turns.take(512) == []


def test_a_batch_is_of_one_kind() -> None:
    turns = Turns()
    turns.add(jobs("a", 10))
    turns.add(jobs("b", 10, kind="tokens"))
    turns.add(jobs("c", 10))
    assert [names(turns.take(512)) for _ in range(3)] == [["a0"], ["b0"], ["c0"]]


def test_what_nobody_wants_is_passed_over_and_costs_its_request_nothing() -> None:
    turns = Turns()
    gone = jobs("gone", *[500] * 5)
    turns.add(gone)
    turns.add(jobs("here", 100, 100))
    for job in gone[:4]:
        job.takers.clear()
    assert names(turns.take(512)) == ["here0", "here1"]
    assert names(turns.take(512)) == ["gone4"]


def test_a_job_of_two_requests_runs_once_at_the_first_turn_of_either() -> None:
    turns = Turns()
    flood = jobs("flood", *[200] * 100)
    turns.add(flood)
    turns.add([flood[99]])
    assert "flood99" in names(turns.take(512))
    left = [name for _ in range(100) for name in names(turns.take(512))]
    assert sorted(left) == sorted({f"flood{number}" for number in range(99)} - {"flood0"})


@given(st.lists(st.lists(st.integers(1, 700), max_size=8), max_size=8), st.integers(1, 700))
def test_every_job_runs_once_in_its_requests_order(requests: list[list[int]], budget: int) -> None:
    turns = Turns()
    for number, lengths in enumerate(requests):
        turns.add(jobs(f"{number}-", *lengths))
    taken = []
    while batch := turns.take(budget):
        assert len(batch) == 1 or sum(len(job.ids) for job in batch) <= budget
        taken += names(batch)
    for number, lengths in enumerate(requests):
        own = [name for name in taken if name.startswith(f"{number}-")]
        assert own == [f"{number}-{place}" for place in range(len(lengths))]
    assert len(taken) == sum(map(len, requests))


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = Cache(10_000)
    row = np.ones(256, np.float32)
    for number in range(50):
        cache.put(b"%d" % number, row * number)
        assert cache.get(b"0") is not None  # asked for all the time, so it stays
        assert cache.size_bytes <= 10_000
    assert 5 < len(cache) < 10
    assert cache.get(b"49")[0] == 49
    assert cache.get(b"20") is None


def test_the_cache_keeps_a_copy_and_nothing_that_is_larger_than_itself() -> None:
    cache = Cache(5_000)
    row = np.ones(256, np.float32)
    cache.put(b"a", row)
    row[:] = 0
    assert cache.get(b"a")[0] == 1
    cache.put(b"b", np.ones(2000, np.float32))
    cache.put(b"a", row)  # known already: it is exact
    assert (len(cache), cache.get(b"b"), cache.get(b"a")[0]) == (1, None, 1)
    empty = Cache(0)
    empty.put(b"a", row)
    assert len(empty) == 0
