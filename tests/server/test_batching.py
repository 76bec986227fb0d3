"""What many clients get at once: the library's bits, their turn, or a refusal that says when to come again."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from serving import Reply, Served, rows, serving

from gemlet import Embedder
from gemlet.packing import Batch
from gemlet.server import Settings

PATIENCE = 30


class Gate:
    """An embedder's run() that waits until it is let through, and remembers its batches."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.run, self.open = embedder, embedder.run, threading.Event()
        self.batches: list[list[int]] = []
        embedder.run = self

    def __call__(self, batch: Batch) -> Any:
        self.batches.append(np.diff(batch.cu_seqlens).tolist())
        assert self.open.wait(PATIENCE)
        return self.run(batch)


@pytest.fixture
def gate(tiny_checkpoint: Path) -> Iterator[Gate]:
    made = Gate(Embedder(tiny_checkpoint))
    yield made
    made.open.set()


def until(condition: Callable[[], object]) -> None:
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end
        sleep(0.005)


def settings(**changes: Any) -> Settings:
    return Settings(name="tiny", **changes)


def embed(served: Served, texts: str | list[str]) -> Reply:
    return served.ask("POST", "/embed", {"inputs": texts})


def words(tokens: int, owner: int = 0) -> str:
    """A text of so many tokens, <bos> and <eos> included, another for each owner: each letter is one."""
    return "".join(map(chr, np.random.default_rng(owner).integers(ord("A"), ord("Z") + 1, tokens - 2)))


def test_every_client_gets_the_librarys_bits(tiny: Embedder) -> None:
    texts = [words(3 + (number * 37) % 400, number) for number in range(120)]
    wanted = dict(zip(texts, tiny.encode(texts), strict=True))
    requests = [texts[begin : begin + size] for size in (1, 2, 7, 40) for begin in range(0, 120, size)]
    for cache_bytes in (0, 20_000):
        with serving(tiny, settings(cache_bytes=cache_bytes)) as served, ThreadPoolExecutor(16) as pool:
            for asked, reply in zip(requests, pool.map(lambda few: embed(served, few), requests), strict=True):
                assert reply.status == 200
                assert np.array_equal(rows(reply.json), [wanted[text] for text in asked])


def test_a_lone_query_does_not_wait_for_a_flood(gate: Gate) -> None:
    with serving(gate.embedder, settings()) as served, ThreadPoolExecutor(2) as pool:
        flood = pool.submit(embed, served, [words(200, number) for number in range(1000)])
        until(lambda: gate.batches)
        query = pool.submit(embed, served, words(18, 3))
        until(lambda: served.app.service.batcher.waiting_items == 999)  # two are running, of 200 tokens each
        gate.open.set()
        assert query.result(PATIENCE).status == 200
        assert gate.batches[1][0] == 18
        assert len(flood.result(60).json) == 1000
    assert sum(map(len, gate.batches)) == 1001


def test_batches_are_packed_across_requests(gate: Gate) -> None:
    with serving(gate.embedder, settings()) as served, ThreadPoolExecutor(20) as pool:
        first = pool.submit(embed, served, words(500))
        until(lambda: gate.batches)
        others = [pool.submit(embed, served, words(50, number)) for number in range(1, 20)]
        until(lambda: served.app.service.batcher.waiting_items == 19)
        gate.open.set()
        assert {one.result(PATIENCE).status for one in [first, *others]} == {200}
    assert gate.batches == [[500], [50] * 10, [50] * 9]


def test_the_same_text_runs_once_for_all_who_wait(gate: Gate, tiny: Embedder) -> None:
    text = words(30, 5)
    with serving(gate.embedder, settings(cache_bytes=0)) as served, ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(embed, served, [text, text])]
        until(lambda: gate.batches)
        asked += [pool.submit(embed, served, text) for _ in range(8)]
        until(lambda: sum(len(job.takers) for job in list(served.app.service.batcher._jobs.values())) == 10)
        gate.open.set()
        for one in asked:
            assert all(np.array_equal(row, tiny.encode(text)) for row in rows(one.result(PATIENCE).json))
        assert gate.batches == [[30]]
        embed(served, text)
        assert gate.batches == [[30], [30]]  # without a cache nothing is kept


def test_a_kept_vector_is_not_computed_again(gate: Gate, tiny: Embedder) -> None:
    gate.open.set()
    with serving(gate.embedder, settings()) as served:
        for _ in range(3):
            assert np.array_equal(rows(embed(served, ["a heron", words(9)]).json), tiny.encode(["a heron", words(9)]))
        assert len(gate.batches) == 1
        unit = rows(served.post("/embed", {"inputs": "a heron", "normalize": False}))[0]
        assert np.array_equal(unit, tiny.encode("a heron", normalize_embeddings=False))  # kept before it is made a unit
        assert len(gate.batches) == 1


def test_a_full_queue_says_when_to_come_again(gate: Gate) -> None:
    with serving(gate.embedder, settings(queue_items=8, queue_tokens=400)) as served, ThreadPoolExecutor(2) as pool:
        running = pool.submit(embed, served, words(500))
        until(lambda: gate.batches)
        waiting = pool.submit(embed, served, [words(40, number) for number in range(8)])
        until(lambda: served.app.service.batcher.waiting_items == 8)
        for path, body in [
            ("/embed", {"inputs": "new"}),
            ("/v1/embeddings", {"input": "new"}),
            ("/api/embed", {"model": "tiny", "input": "new"}),
        ]:
            reply = served.ask("POST", path, body)
            assert reply.status == 429
            assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert served.ask("POST", "/v1/embeddings", {"input": "new"}).json["error"]["type"] == "rate_limit_error"
        gate.open.set()
        assert {running.result(PATIENCE).status, waiting.result(PATIENCE).status} == {200}
        assert embed(served, [words(40, number) for number in range(30, 50)]).status == 200  # alone, larger than both
        assert served.app.service.batcher.waiting_items == served.app.service.batcher.waiting_tokens == 0


def leave(served: Served, texts: list[str]) -> socket.socket:
    """A request whose client is about to leave."""
    body = json.dumps({"inputs": texts}).encode()
    client = socket.create_connection(("127.0.0.1", served.port))
    client.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return client


def test_what_a_client_that_left_had_asked_for_is_not_computed(gate: Gate, tiny: Embedder) -> None:
    with serving(gate.embedder, settings()) as served, ThreadPoolExecutor(1) as pool:
        batcher = served.app.service.batcher
        client = leave(served, [words(200, number) for number in range(100)])
        until(lambda: gate.batches)
        shared = pool.submit(embed, served, words(200, 50))
        until(lambda: any(len(job.takers) == 2 for job in list(batcher._jobs.values())))
        client.close()
        until(lambda: batcher.waiting_items == 1)
        gate.open.set()
        assert np.array_equal(rows(shared.result(PATIENCE).json)[0], tiny.encode(words(200, 50)))
        until(lambda: not batcher._jobs)
    assert gate.batches == [[200, 200], [200]]  # what ran, and what another wanted too


def test_an_answer_that_takes_too_long_is_given_up(gate: Gate) -> None:
    with serving(gate.embedder, settings(request_s=0.2)) as served:
        reply = embed(served, ["a", words(600)])
        assert (reply.status, reply.json["error_type"]) == (503, "Overloaded")
        assert "retry-after" in reply.headers
        assert served.app.service.batcher.waiting_items == 0
        gate.open.set()


def test_what_was_begun_is_answered_before_the_end(gate: Gate, tiny: Embedder) -> None:
    with ThreadPoolExecutor(1) as pool:
        with serving(gate.embedder, settings()) as served:
            asked = pool.submit(embed, served, words(60))
            until(lambda: gate.batches)
            threading.Timer(0.3, gate.open.set).start()
        assert np.array_equal(rows(asked.result(PATIENCE).json)[0], tiny.encode(words(60)))


def test_a_vector_that_is_not_finite_fails_its_own_request_only(tiny_checkpoint: Path, tiny: Embedder) -> None:
    broken = Embedder(tiny_checkpoint)
    run = broken.run

    def spoilt(batch: Batch) -> Any:
        found = run(batch)
        found[np.diff(batch.cu_seqlens) == 33] = np.nan
        return found

    broken.run = spoilt
    gate = Gate(broken)
    with serving(broken, settings()) as served, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(embed, served, "first")]
        until(lambda: gate.batches)
        asked += [pool.submit(embed, served, text) for text in (words(33), words(32))]
        until(lambda: served.app.service.batcher.waiting_items == 2)
        gate.open.set()
        bad, good = (one.result(PATIENCE) for one in asked[1:])
        assert (bad.status, bad.json["error_type"]) == (424, "Backend")
        assert np.array_equal(rows(good.json)[0], tiny.encode(words(32)))


def test_the_engines_failure_is_an_answer_and_the_next_request_works(tiny_checkpoint: Path) -> None:
    failing = Embedder(tiny_checkpoint)
    run, failures = failing.run, [MemoryError("/secret/place")]

    def once(batch: Batch) -> Any:
        if failures:
            raise failures.pop()
        return run(batch)

    failing.run = once
    with serving(failing, settings()) as served:
        reply = served.ask("POST", "/v1/embeddings", {"input": "a"})
        assert (reply.status, reply.json["error"]["type"]) == (500, "server_error")
        assert b"secret" not in reply.body
        assert embed(served, "a").status == 200
