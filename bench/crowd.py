"""Many connections that ask one server at once; what they got is checked.   (server, texts → figures)

Texts are dealt out in one order, whoever asks, so that all servers have the same mix; none is under way twice, for a
server may compute a text once that is asked for twice.
"""

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from servers import Connection, Refused, Server, Vectors
from texts import own_sentences

SIZES = (1, 1, 1, 1, 2, 4)  # texts of a request, by turns
FEWEST, MOST = 8, 256  # words of a text
PAUSE = 0.1  # seconds after an answer that is none
ALIKE = 0.95  # cosine with the library's vector from which on a rival's is right


def write(texts: int, longest: int = MOST, seed: int = 1) -> list[str]:
    """Return texts that differ, of 8 to `longest` words of English prose, spread evenly over the powers of two."""
    chance = random.Random(seed)
    words = " ".join(own_sentences()["en"]).split()
    found = []
    for number in range(texts):
        length = round(FEWEST * math.pow(longest / FEWEST, chance.random()))
        begin = chance.randrange(len(words))
        found.append(" ".join([str(number), *itertools.islice(itertools.cycle(words), begin, begin + length)]))
    return found


class Crowd:
    """Connections, each of which asks again as soon as it has its answer; and what came of it.

    answers  row of the text → its vector, the first that came
    rows     of the texts that were answered, as they came
    times    seconds of each request that was answered
    seconds  from the first request to the last answer
    refused  requests that were, by status; 0: the connection broke
    differ   texts that came again with another vector
    """

    def __init__(self, server: Server, texts: Sequence[str]) -> None:
        self._server, self._texts, self._lock = server, texts, threading.Lock()
        self._sizes, self._dealt = itertools.cycle(SIZES), itertools.cycle(range(len(texts)))
        self.answers: dict[int, Vectors] = {}
        self.rows: list[int] = []
        self.times: list[float] = []
        self.refused: dict[int, int] = {}
        self.seconds, self.differ = 0.0, 0

    def ask(self, connections: int, seconds: float) -> None:
        """Ask for so long, and wait for the answers to what was asked by then."""
        self._begin = time.perf_counter()
        threads = [threading.Thread(target=self._go, args=(seconds,)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def wrong(self, wanted: Callable[[list[int]], Vectors], *, exact: bool) -> int:
        """Count texts whose answer is not their own; `wanted` gives the library's vectors of rows."""
        rows = sorted(self.answers)
        if not rows:
            return 0
        ours = wanted(rows)
        theirs = np.stack([self.answers[row] for row in rows])
        if exact:
            return int((theirs != ours).any(axis=1).sum())
        cosines = theirs @ ours.T / np.linalg.norm(theirs, axis=1, keepdims=True)
        own = np.diagonal(cosines)
        return int(((own < ALIKE) | (cosines.argmax(axis=1) != np.arange(len(rows)))).sum())

    def _go(self, seconds: float) -> None:
        connection = Connection(self._server)
        while time.perf_counter() - self._begin < seconds:
            rows = self._deal()
            try:
                self._keep(rows, *connection.embed([self._texts[row] for row in rows]))
            except Refused as refused:
                self._refuse(refused.status)
            except (OSError, ValueError):
                self._refuse(0)
                connection = Connection(self._server)
        connection.close()

    def _deal(self) -> list[int]:
        with self._lock:
            return list(itertools.islice(self._dealt, next(self._sizes)))

    def _keep(self, rows: list[int], vectors: Vectors, took: float) -> None:
        with self._lock:
            self.seconds = time.perf_counter() - self._begin
            self.times.append(took)
            self.rows += rows
            for row, vector in zip(rows, vectors, strict=True):
                self.differ += not np.array_equal(self.answers.setdefault(row, vector), vector)

    def _refuse(self, status: int) -> None:
        with self._lock:
            self.refused[status] = self.refused.get(status, 0) + 1
        time.sleep(PAUSE)
