"""What the server counts and logs: never a text, never a vector.   (events → Prometheus' text, JSON lines)

The names are text-embeddings-inference's, so that its dashboards fit. They are gauges that only grow, for a counter's
name would have to end in "_total".
"""

import json
import logging
import os
import time
import traceback
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

LOGGER = logging.getLogger("gemlet.server")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Metrics:
    """One for each server, with a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(name, told, labels, registry=registry)

        def seconds(name: str, told: str) -> Histogram:
            return Histogram(name, told, buckets=_SECONDS, registry=registry)

        self._requests = gauge("te_request_count", "requests, by route", "method")
        self._successes = gauge("te_request_success", "requests that were answered, by route", "method")
        self._failures = gauge("te_request_failure", "requests that were refused or failed, by reason", "err")
        self._duration = seconds("te_request_duration", "seconds from a request's head to its answer")
        self._tokenization = seconds("te_request_tokenization_duration", "seconds of turning a request into tokens")
        self._queue = seconds("te_request_queue_duration", "seconds from the queue to the batch of the last text")
        self._inference = seconds("te_request_inference_duration", "seconds of a batch")
        self._length = Histogram("te_request_input_length", "tokens of a text", buckets=_TOKENS, registry=registry)
        self._texts = gauge("te_embed_count", "texts asked for")
        self._found = gauge("te_embed_success", "texts that got their vectors")
        self._hits = gauge("gemlet_cache_hits", "sequences that the cache had")
        self._next_size = gauge("te_batch_next_size", "sequences of the newest batch")
        self._next_tokens = gauge("te_batch_next_tokens", "tokens of the newest batch")
        self._gauge = gauge

    def follow(self, name: str, told: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when somebody looks."""
        self._gauge(name, told).set_function(value)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        text: bytes = generate_latest(self._registry)
        return text

    def asked(self, texts: int) -> None:
        """Count the texts of a request."""
        self._texts.inc(texts)

    def tokenised(self, seconds: float, lengths: list[int]) -> None:
        """Count a request's tokens."""
        self._tokenization.observe(seconds)
        for length in lengths:
            self._length.observe(length)

    def found(self, texts: int, hits: int) -> None:
        """Count what a request got."""
        self._found.inc(texts)
        self._hits.inc(hits)

    def batch(self, sequences: int, tokens: int) -> None:
        """Show what is about to run."""
        self._next_size.set(sequences)
        self._next_tokens.set(tokens)

    def inference(self, seconds: float) -> None:
        """Count a batch."""
        self._inference.observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count a request's time in the queue."""
        self._queue.observe(max(seconds, 0))

    def answered(self, route: str, status: int, reason: str, seconds: float) -> None:
        """Count a request that is over; `reason` is a Problem's kind, or nothing."""
        self._requests.labels(route).inc()
        if status < 400:
            self._successes.labels(route).inc()
        else:
            self._failures.labels(reason or "other").inc()
        self._duration.observe(seconds)

    @staticmethod
    def broken(error: Exception) -> None:
        """Log where a bug or a damaged file showed: the place and the kind, for a message may hold a text."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        places = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        log("error", error=type(error).__name__, at=places)


def log(event: str, **facts: object) -> None:
    """Write one JSON line."""
    LOGGER.info(json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False))
