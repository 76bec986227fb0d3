"""The server's embedder as the library's chapters see one: their texts go through the queue of all requests.

They run in threads and wait there; the event loop runs the queue.   (texts → vectors)
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.prompts import document_prompts, find_prompt
from gemlet.server.indexes.rooms import pending
from gemlet.server.service import Service
from gemlet.texts import Texts, as_texts


class SharedEmbedder:
    """As much of an Embedder as a search, an answer and a classifier ask for; never to be called in the event loop."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service, self._loop = service, loop
        self._embedder = service.embedder

    @property
    def prompts(self) -> dict[str, str]:
        """The texts of the prompts, by their names."""
        return self._embedder.prompts

    def count_tokens(self, texts: Texts) -> npt.NDArray[np.int64]:
        """The tokens of each text, as Embedder.count_tokens() counts them."""
        return self._embedder.count_tokens(texts)

    def encode(
        self,
        texts: Texts,
        *,
        prompt_name: str | None = None,
        prompt: Sequence[str] = (),
        truncate_dim: int | None = None,
    ) -> Any:
        """[n, dim] float32 unit vectors, or [dim] of a str; `prompt` has one for each text. A long text is cut.

        Raises UnknownPrompt, and what Service.dim() and embed() raise.
        """
        listed, single = as_texts(texts)
        dim = self._service.dim(truncate_dim)
        prompts = list(prompt) or [find_prompt(self.prompts, prompt_name) if prompt_name else ""] * len(listed)
        work = self._service.embed(listed, prompts, truncation="right", dim=dim)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        if (waits := pending.get()) is not None:
            waits.add(future)
        vectors = future.result().vectors
        return vectors[0] if single else vectors

    def encode_query(self, texts: Texts, *, prompt_name: str = "query", truncate_dim: int | None = None) -> Any:
        """encode() with a query's prompt."""
        return self.encode(texts, prompt_name=prompt_name, truncate_dim=truncate_dim)

    def encode_document(
        self, texts: Texts, *, titles: Sequence[str | None] | None = None, truncate_dim: int | None = None
    ) -> Any:
        """encode() with the document prompt, titles in it."""
        listed, single = as_texts(texts)
        prompts = document_prompts(titles or [None] * len(listed), len(listed))
        return self.encode(listed[0] if single else listed, prompt=prompts, truncate_dim=truncate_dim)
