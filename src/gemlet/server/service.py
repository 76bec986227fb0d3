"""The common request behind every dialect: texts, a task, a length → vectors.   (texts → vectors)

Which prompt a text gets:
  1. what the request names: `input_type`, `task` or `prompt_name`, or what the route is for;
  2. else what the model's name ends in: "embeddinggemma-300m:query";
  3. else the server's own default (Settings.task), and none where it has none.
What a request names is obeyed. By 2 and 3 a text that already begins with a prompt of this model gets no second one.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gemlet.embedder import DEFAULT_MODEL, Embedder
from gemlet.errors import InputError, InputTooLong, InvalidDimension
from gemlet.packing import Sequences, Truncation
from gemlet.prompts import document_prompts, find_prompt, own_prompt
from gemlet.server.batcher import Batcher
from gemlet.server.metrics import Metrics
from gemlet.server.problems import Problem
from gemlet.server.settings import Settings
from gemlet.vectors import MATRYOSHKA_DIMS, FloatArray, check_dim

T = TypeVar("T")

WORKERS = 2  # threads that tokenise and encode
_INLINE = 4096  # code points: tokenising fewer takes less time than going to another thread

# Names that other embedding services have for what our model calls query and document.
SYNONYMS = {"search_query": "query", "search_document": "document", "passage": "document"}
PLAIN = ("none", "")

Titles = Sequence[str | None] | None


@dataclass(frozen=True)
class Found:
    """What became of a request's texts.

    vectors  [n, dim] float32; or of each text [tokens, 768]
    tokens   [n] int64 with the prompt, <bos> and <eos>; cut: how many of them the model has not seen
    hits     how many sequences the cache had
    """

    vectors: Any
    tokens: npt.NDArray[np.int64]
    cut: npt.NDArray[np.int64]
    hits: int

    @cached_property
    def seen(self) -> int:
        """Tokens that were read, of all texts."""
        return int((self.tokens - self.cut).sum())


class Service:
    """One embedder, and all that is done with it; used from one event loop."""

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        self.embedder, self.settings = embedder, settings
        self.metrics = Metrics()
        self.batcher = Batcher(embedder, settings, self.metrics)
        self.name = settings.name or _name_of(embedder.name)
        self.names = (self.name, *_published_names(embedder.name), *settings.aliases)
        self.tokenizer = embedder.tokenizer
        self.started = int(time.time())
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="gemlet-tokens")
        if settings.task is not None:
            find_prompt(embedder.prompts, settings.task)
        self.metrics.follow("te_queue_size", "sequences that wait", lambda: self.batcher.waiting_items)
        self.metrics.follow("gemlet_queue_tokens", "tokens that wait", lambda: self.batcher.waiting_tokens)
        self.metrics.follow("gemlet_cache_bytes", "bytes of kept vectors", lambda: self.batcher.cache.size_bytes)

    def start(self) -> None:
        """Begin to work, in the running event loop."""
        self.batcher.start()

    def stop(self) -> None:
        """End, when the running batch is done."""
        self.batcher.stop()
        self._pool.shutdown()

    def task_of(self, model: str | None) -> str | None:
        """The task that a model's name ends in, or None. Raises Problem for a name that is not served here."""
        if model is None or model.removesuffix(":latest") in self.names:
            return None
        name, _, task = model.rpartition(":")
        if name in self.names:
            self._prompt(task, "model")
            return task
        raise Problem(
            "unknown_model", f"there is no model {model[:80]!r} here; this server has {self.name!r}", param="model"
        )

    def prompts_for(
        self,
        texts: Sequence[str],
        task: str | None,
        *,
        model: str | None = None,
        titles: Titles = None,
        param: str = "input_type",
    ) -> list[str]:
        """One prompt for each text; see the head of this file. `param` names the field that `task` comes from.

        Raises Problem.
        """
        told = self.task_of(model)
        if titles is not None:
            if task is not None and SYNONYMS.get(task, task).lower() not in ("document", "retrieval-document"):
                raise Problem("invalid", "titles are of documents: leave them out for another task", param="titles")
            if len(titles) != len(texts):
                raise Problem("invalid", f"there are {len(titles)} titles for {len(texts)} texts", param="titles")
            return document_prompts(titles, len(texts))
        if task is not None:
            return [self._prompt(task, param)] * len(texts)
        prompt = self._prompt(told or self.settings.task or "none", "model")
        return ["" if own_prompt(text) else prompt for text in texts]

    def _prompt(self, task: str, param: str) -> str:
        if task in PLAIN:
            return ""
        try:
            return find_prompt(self.embedder.prompts, SYNONYMS.get(task, task))
        except InputError:
            known = ", ".join([*self.embedder.prompts, *SYNONYMS, "none"])
            raise Problem("invalid", f"there is no task {task[:80]!r}; there are {known}", param=param) from None

    def dim(self, dim: int | None, param: str = "dimensions") -> int:
        """The dimension to cut to. Raises Problem for one that the model was not trained for."""
        try:
            return check_dim(self.embedder.truncate_dim if dim is None else dim, self.full_dim)
        except InvalidDimension as error:
            allowed = ", ".join(map(str, error.allowed))
            raise Problem("invalid", f"{param} is {dim}; the model was trained for {allowed}", param=param) from None

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions that a vector can be cut to."""
        return (self.full_dim, *(dim for dim in MATRYOSHKA_DIMS if dim < self.full_dim))

    @property
    def weights(self) -> tuple[int, str]:
        """(Bytes of the weights' files, a SHA-256 of what the model is here: its name, type and size)."""
        size = sum(os.path.getsize(path) for path, _ in self.embedder.checkpoint.weights)
        facts = f"{self.name} {self.embedder.quantization} {size}"
        return size, hashlib.sha256(facts.encode()).hexdigest()

    @property
    def full_dim(self) -> int:
        """Numbers of a vector that is not cut."""
        return int(self.embedder.checkpoint.config["dense"][-1])

    async def embed(
        self,
        texts: Sequence[str],
        prompts: Sequence[str],
        *,
        truncation: Truncation,
        dim: int,
        normalize: bool = True,
    ) -> Found:
        """Vectors of texts. Raises Problem."""
        sequences = await self._sequences(texts, prompts, truncation)
        return await self._vectors(sequences, dim, normalize)

    async def embed_ids(
        self, ids: Sequence[Sequence[int]], *, truncation: Truncation, dim: int, normalize: bool = True
    ) -> Found:
        """Vectors of this model's own tokens: of each text <bos> first, <eos> last or left out. Raises Problem."""
        self._check_items(len(ids))
        inner = [self._checked(row, sequence) for row, sequence in enumerate(ids)]
        return await self._vectors(self._fitted(self.embedder.sequences_of_ids, inner, truncation), dim, normalize)

    async def embed_tokens(self, texts: Sequence[str], prompts: Sequence[str], *, truncation: Truncation) -> Found:
        """For each text a vector of each token, those of the prompt, <bos> and <eos> included. Raises Problem."""
        sequences = await self._sequences(texts, prompts, truncation)
        tokens, most = sum(map(len, sequences.input_ids)), self.settings.token_vectors
        if tokens > most:
            raise Problem("too_many", f"the texts have {tokens} tokens; at most {most} get a vector of each token")
        rows = await self.batcher.rows(sequences.input_ids, "tokens")
        texts_rows: list[list[FloatArray]] = [[] for _ in texts]
        for row, found in zip(sequences.rows, rows.rows, strict=True):
            texts_rows[row].append(found)
        self.metrics.found(len(texts), 0)
        return Found([np.concatenate(found) for found in texts_rows], sequences.tokens, sequences.cut, 0)

    async def work(self, size: int, do: Callable[..., T], *arguments: Any) -> T:
        """Do what takes no time here, and what does in another thread; `size` is about code points."""
        if size <= _INLINE:
            return do(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, do, *arguments)

    async def _sequences(self, texts: Sequence[str], prompts: Sequence[str], truncation: Truncation) -> Sequences:
        self._check_items(len(texts))
        prompted = [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        began = time.perf_counter()
        make = self.embedder.sequences
        sequences = await self.work(sum(map(len, prompted)), self._fitted, make, prompted, prompts, truncation)
        self.metrics.tokenised(time.perf_counter() - began, sequences.tokens.tolist())
        return sequences

    def _fitted(self, make: Callable[..., Sequences], *arguments: Any) -> Sequences:
        try:
            sequences = make(*arguments)
        except InputTooLong as error:
            told = (
                f"text {error.row} has {error.tokens} tokens, the limit is {error.limit}: shorten it, or let it be cut"
            )
            raise Problem("too_long", told) from None
        except InputError as error:
            raise Problem("invalid", str(error)) from None
        tokens, most = sum(map(len, sequences.input_ids)), self.settings.request_tokens
        if tokens > most:
            raise Problem("too_many", f"the request has {tokens} tokens; at most {most} go into one")
        return sequences

    async def _vectors(self, sequences: Sequences, dim: int, normalize: bool) -> Found:
        rows = await self.batcher.rows(sequences.input_ids)
        vectors = self.embedder.finish(sequences, np.array(rows.rows), dim, normalize)
        self.metrics.found(len(vectors), rows.hits)
        return Found(vectors, sequences.tokens, sequences.cut, rows.hits)

    def _check_items(self, items: int) -> None:
        self.metrics.asked(items)
        if items == 0:
            raise Problem("empty", "there is no text")
        if items > self.settings.items:
            raise Problem("too_many", f"there are {items} texts; at most {self.settings.items} go into one request")

    def _checked(self, row: int, ids: Sequence[int]) -> npt.NDArray[np.int32]:
        """The ids between <bos> and <eos>. Raises Problem: another tokenizer's ids would mean something else here."""
        bos, eos, size = self.tokenizer.bos, self.tokenizer.eos, self.tokenizer.vocab_size
        if not ids or ids[0] != bos:
            raise Problem(
                "invalid",
                f"text {row} is a list of tokens that does not begin with <bos>, {bos}: send texts, or tokens as "
                " /tokenize gives them. Another tokenizer's would mean nothing here (LangChain: "
                "check_embedding_ctx_length=False)",
                param="input",
            )
        if any(not 0 <= token < size for token in ids):
            raise Problem("invalid", f"text {row} has a token that is not from 0 to {size - 1}", param="input")
        return np.array(ids[1:-1] if ids[-1] == eos else ids[1:], np.int32)


def _name_of(model: str) -> str:
    """What clients call a model: of a published name or a path the last part."""
    path = Path(os.path.abspath(model))
    return path.stem if path.suffix == ".gguf" else path.name


def _published_names(model: str) -> tuple[str, ...]:
    """Other names of the published model; a file or folder of somebody's own has none, as it may be anything."""
    return (DEFAULT_MODEL, "embeddinggemma") if model == DEFAULT_MODEL else ()
