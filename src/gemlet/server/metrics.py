"""What the server counts and logs: never a text, never a vector.   (events → Prometheus' text, JSON lines)

The names are text-embeddings-inference's, so that its dashboards fit. They are gauges that only grow, for a counter's
name would have to end in "_total". Between two looks they are plain numbers: a request changes a dozen of them.
"""

import logging
import os
import time
import traceback
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

LOGGER = logging.getLogger("gemlet.server")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class _Histogram:
    """How many numbers were no larger than each bound."""

    def __init__(self, name: str, told: str, bounds: tuple[float, ...]) -> None:
        self.name, self.told = name, told
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, number: float) -> None:
        self._counts[bisect_left(self._bounds, number)] += 1
        self._sum += number

    def family(self) -> HistogramMetricFamily:
        """As Prometheus has it: each bound with all that are no larger."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(self.name, self.told, buckets=buckets, sum_value=self._sum)


class Metrics:
    """One for each server, with a registry of its own. All but batch() is called in the event loop."""

    def __init__(self) -> None:
        def seconds(name: str, told: str) -> _Histogram:
            return _Histogram(name, told, _SECONDS)

        self._duration = seconds("te_request_duration", "seconds from a request's head to its answer")
        self._tokenization = seconds("te_request_tokenization_duration", "seconds of turning a request into tokens")
        self._queue = seconds("te_request_queue_duration", "seconds from the queue to the batch of the last text")
        self._inference = seconds("te_request_inference_duration", "seconds of a batch")
        self._length = _Histogram("te_request_input_length", "tokens of a text", _TOKENS)
        self._requests: Counter[str] = Counter()
        self._successes: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._texts = self._found = self._hits = self._next_size = self._next_tokens = 0
        self._followed: list[tuple[str, str, Callable[[], float]]] = []
        for name, told, value in (
            ("te_embed_count", "texts asked for", lambda: self._texts),
            ("te_embed_success", "texts that got their vectors", lambda: self._found),
            ("gemlet_cache_hits", "sequences that the cache had", lambda: self._hits),
            ("te_batch_next_size", "sequences of the newest batch", lambda: self._next_size),
            ("te_batch_next_tokens", "tokens of the newest batch", lambda: self._next_tokens),
        ):
            self.follow(name, told, value)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def follow(self, name: str, told: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when somebody looks."""
        self._followed.append((name, told, value))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterator[GaugeMetricFamily | HistogramMetricFamily]:
        """What the registry asks for."""
        yield _labelled("te_request_count", "requests, by route", "method", self._requests)
        yield _labelled("te_request_success", "requests that were answered, by route", "method", self._successes)
        yield _labelled("te_request_failure", "requests that were refused or failed, by reason", "err", self._failures)
        for histogram in (self._duration, self._tokenization, self._queue, self._inference, self._length):
            yield histogram.family()
        for name, told, value in self._followed:
            yield GaugeMetricFamily(name, told, value=value())

    def asked(self, texts: int) -> None:
        """Count the texts of a request."""
        self._texts += texts

    def tokenised(self, seconds: float, lengths: list[int]) -> None:
        """Count a request's tokens."""
        self._tokenization.add(seconds)
        for length in lengths:
            self._length.add(length)

    def found(self, texts: int, hits: int) -> None:
        """Count what a request got."""
        self._found += texts
        self._hits += hits

    def batch(self, sequences: int, tokens: int) -> None:
        """Show what is about to run."""
        self._next_size, self._next_tokens = sequences, tokens

    def inference(self, seconds: float) -> None:
        """Count a batch."""
        self._inference.add(seconds)

    def waited(self, seconds: float) -> None:
        """Count a request's time in the queue."""
        self._queue.add(max(seconds, 0))

    def answered(self, route: str, status: int, reason: str, seconds: float) -> None:
        """Count a request that is over; `reason` is a Problem's kind, or nothing."""
        self._requests[route] += 1
        if status < 400:
            self._successes[route] += 1
        else:
            self._failures[reason or "other"] += 1
        self._duration.add(seconds)

    @staticmethod
    def broken(error: Exception) -> None:
        """Log where a bug or a damaged file showed: the place and the kind, for a message may hold a text."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        places = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        log("error", error=type(error).__name__, at=places)


def log(event: str, **facts: object) -> None:
    """Write one JSON line."""
    if LOGGER.isEnabledFor(logging.INFO):
        line: bytes = msgspec.json.encode({"time": round(time.time(), 3), "event": event, **facts})
        LOGGER.info(line.decode())


def _labelled(name: str, told: str, label: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
