"""gemlet as a model of mteb, so that it runs any of mteb's tasks.   (mteb's batches → vectors)

    import mteb
    from gemlet.evaluation.mteb_model import GemletModel

    mteb.evaluate(GemletModel(truncate_dim=256), mteb.get_tasks(tasks=["STSBenchmark"]))

Prompts are chosen as mteb chooses them for a sentence-transformers model: by the names that the checkpoint gives to
kinds of task, but for the tasks of protocols.PROMPTS. mteb puts a document's title before its text; the prompt's own
title stays "none", as in the published run. It is an encoder by mteb's protocol: nothing here needs mteb but
mteb_model_meta.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gemlet.embedder import DEFAULT_MODEL, Embedder
from gemlet.errors import InputError, MissingExtra
from gemlet.evaluation.protocols import PROMPTS
from gemlet.evaluation.running import named
from gemlet.prompts import find_prompt
from gemlet.vectors import FloatArray


class GemletModel:
    """mteb's EncoderProtocol over an Embedder."""

    def __init__(
        self,
        model_name: str = DEFAULT_MODEL,
        revision: str | None = None,
        *,
        device: str | None = None,
        embedder: Embedder | None = None,
        **options: Any,
    ) -> None:
        """Load the model, or take an embedder.

        model_name  what Embedder takes: a published name, a folder or a .gguf file
        revision    as mteb passes it; the checkpoint's own is what counts
        device      None or "cpu"
        embedder    one that is loaded already, `model_name` is then its name in the results
        options     of Embedder: quantization, truncate_dim, truncation, max_seq_length, threads, offline

        Raises what Embedder raises, and InputError for another device.
        """
        if device not in (None, "cpu"):
            raise InputError(f"device is {device!r}: gemlet runs on the CPU")
        self.embedder = embedder or Embedder(model_name, **options)
        self.name, self.revision = named(model_name)
        self.model_name = model_name

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> FloatArray:
        """[n, dim] float32 for the "text" of all batches; with the prompt for this task and side.

        Raises InputError for batches without texts: the model reads nothing else.
        """
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                raise InputError(f"{task_metadata.name} has {', '.join(batch)} and no text: the model reads texts only")
            texts += batch["text"]
        prompt = prompt_of(self.embedder.prompts, task_metadata.name, task_metadata.type, _side(prompt_type))
        rows: FloatArray = self.embedder.encode([prompt + text for text in texts])
        return rows

    def similarity(self, embeddings1: Any, embeddings2: Any) -> FloatArray:
        """Cosine of each row with each row."""
        return self.embedder.similarity(np.asarray(embeddings1), np.asarray(embeddings2))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> FloatArray:
        """Cosine of row i with row i."""
        return self.embedder.similarity_pairwise(np.asarray(embeddings1), np.asarray(embeddings2))

    @property
    def mteb_model_meta(self) -> Any:
        """Mteb's ModelMeta: name, revision and settings. Raises MissingExtra without mteb."""
        try:
            from mteb.models import ModelMeta
        except ImportError:
            raise MissingExtra("eval", "mteb's own runner") from None
        owner = self.model_name.partition("/")[0] if not Path(self.model_name).exists() else "local"
        quantization, dim = self.embedder.quantization, self.embedder.truncate_dim
        return ModelMeta(
            loader=None,
            name=f"{owner}/{self.name}__{quantization}__{dim}",
            revision=self.revision,
            release_date=None,
            languages=None,
            n_parameters=307_581_696,
            memory_usage_mb=None,
            max_tokens=self.embedder.max_seq_length,
            embed_dim=dim,
            license="gemma",
            open_weights=True,
            public_training_code=None,
            public_training_data=None,
            framework=[],
            similarity_fn_name="cosine",
            use_instructions=True,
            training_datasets=None,
            adapted_from=DEFAULT_MODEL,
            experiment_kwargs={"quantization": quantization, "dim": dim},
        )


def prompt_of(prompts: Mapping[str, str], task: str, kind: str, side: str | None) -> str:
    """The most special prompt that there is: of the task's side, the task, the kind's side, the kind, the side; or "".

    kind  mteb's name of it: "Retrieval", "STS"
    side  "query", "document", or None where both are alike
    """
    if task in PROMPTS:
        return find_prompt(prompts, PROMPTS[task])
    names = [f"{task}-{side}", task, f"{kind}-{side}", kind, side or ""]
    return next((prompts[name] for name in names if name in prompts), "")


def _side(prompt_type: Any) -> str | None:
    return None if prompt_type is None else str(getattr(prompt_type, "value", prompt_type))
