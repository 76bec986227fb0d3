"""The whole flow on one page: text → prompt → ids → sequences → batches → hidden → vectors."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypedDict, Unpack, get_args

import numpy as np
import numpy.typing as npt

from gemlet import _core, gpu, vectors
from gemlet.checkpoint import Checkpoint, read_checkpoint, storage_of
from gemlet.errors import InputError, OutputError, TruncationWarning, warn
from gemlet.packing import Batch, Sequences, Truncation, fit, pack
from gemlet.pretrained import find
from gemlet.pretrained.progress import Terminal
from gemlet.prompts import CARD_PROMPTS, apply_prompts, document_prompts, find_prompt
from gemlet.quantized import quantized
from gemlet.texts import Texts, as_texts
from gemlet.vectors import FloatArray, Precision

DEFAULT_MODEL = "google/embeddinggemma-300m"

_TOKEN_BUDGET = 512

_MANY_TOKENS = 1024
"""That many touch most of the tokenizer's tables; the model then needs the memory more."""

Quantization = Literal["f32", "bf16", "q8_0"]
ControlTokens = Literal["literal", "parse"]
OutputValue = Literal["sentence_embedding", "token_embeddings"]


class EncodeOptions(TypedDict, total=False):
    """The options of Embedder.encode() that encode_query() and encode_document() pass on."""

    batch_size: int | None
    show_progress_bar: bool
    output_value: OutputValue
    precision: Precision
    truncate_dim: int | None
    normalize_embeddings: bool
    truncation: Truncation | None
    return_usage: bool


@dataclass(frozen=True)
class Encoding:
    """One text as the model sees it, <bos> and <eos> included.

    ids     [tokens] int32
    pieces  [tokens] str, "▁" for a space
    spans   [tokens, 2] int64: where each token lies in the prompted text, in code points; (0, 0) for <bos> and <eos>
    """

    ids: npt.NDArray[np.int32]
    pieces: list[str]
    spans: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Usage:
    """What encode() read: for each text its tokens with prompt, <bos> and <eos>, and how many of them were cut."""

    tokens: npt.NDArray[np.int64]
    cut: npt.NDArray[np.int64]


class Embedder:
    """EmbeddingGemma-300M: texts in, unit vectors out.

    Any number of threads may use one embedder at once. A text's vector is the same bit for bit alone and in any batch,
    in any order and with any number of threads; on a GPU it is the same up to rounding.
    """

    def __init__(
        self,
        name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str = gpu.OWN,
        quantization: Quantization | None = None,
        truncate_dim: int | None = None,
        threads: int | None = None,
        offline: bool = False,
        max_seq_length: int | None = None,
        truncation: Truncation = "right",
        control_tokens: ControlTokens = "literal",
        token_budget: int | None = None,
    ) -> None:
        """Load a checkpoint.

        name_or_path    a published name (fetched once, then cached), a folder in the sentence-transformers layout, or a
                        .gguf file
        device          "cpu" is gemlet's own engine; "cuda", "cuda:1" and so on a GPU, through PyTorch (the extra
                        gpu); "torch:cpu" what a GPU would run, where there is none
        quantization    of the matrices: "q8_0" computes in 8 bits, from a file that the first use writes into gemlet's
                        cache (some 5 s, once); "bf16" and "f32" run the folder's own weights, "f32" exactly; a .gguf
                        file has its own; None: the file's, for a folder or a name "q8_0", and "bf16" on a GPU. A GPU
                        has weights of 8 bits multiplied in bfloat16
        truncate_dim    cut every vector to 512, 256 or 128 numbers (re-normalised); None keeps all 768
        threads         None: as many as this process may use; PyTorch has its own setting
        offline         never touch the network
        max_seq_length  at most this many tokens of a text, prompt included; None: what the checkpoint says (2048)
        truncation      of longer texts: "right" and "left" cut and warn, "error" raises InputTooLong, "window" embeds
                        the whole text in overlapping windows and averages them by their tokens
        control_tokens  "<eos>", "<bos>" and the like in a text: "literal" takes them as the characters they are, so
                        that no text can steer the model; "parse" as control tokens, as Hugging Face's tokenizer does
        token_budget    tokens of several texts that run at once: more take more memory, and more than the processor's
                        caches hold are slower; None: 512, on a GPU up to 32,768 by its free memory

        Raises ModelNotFound, WeightsError, UnsupportedModel, MissingExtra, or InputError for an argument. Warns with
        CacheWarning where the 8-bit file cannot be written: the folder's weights are packed into 8 bits at every start
        instead.
        """
        self.truncation = _one_of("truncation", truncation, Truncation)
        self.control_tokens = _one_of("control_tokens", control_tokens, ControlTokens)
        if token_budget is not None:
            _positive("token_budget", token_budget)
        threads = _positive("threads", _cores() if threads is None else threads)
        if quantization is not None:
            _one_of("quantization", quantization, Quantization)
        self.device = gpu.check_device(device)
        self.name = os.fspath(name_or_path)
        with Terminal() as progress:
            path = find(name_or_path, offline=offline, progress=progress)
            if quantization is None and path.is_dir():
                quantization = "q8_0" if device == gpu.OWN else "bf16"
            if quantization == "q8_0" and path.is_dir():
                path = quantized(path, progress) or path
        self._checkpoint = checkpoint = read_checkpoint(path)
        self.quantization, storage = storage_of(checkpoint, quantization)
        self.max_seq_length = checkpoint.max_seq_length
        if max_seq_length is not None:
            self.max_seq_length = min(_positive("max_seq_length", max_seq_length, least=8), self.max_seq_length)
        self._full_dim: int = checkpoint.config["dense"][-1]
        self.truncate_dim = vectors.check_dim(truncate_dim, self._full_dim)
        self.prompts = checkpoint.prompts | {k: v for k, v in CARD_PROMPTS.items() if k not in checkpoint.prompts}
        self._tokenizer = checkpoint.tokenizer
        self._gguf = checkpoint.gguf
        self._model: gpu.Engine
        if device == gpu.OWN:
            self._model = _core.Model(checkpoint.config, checkpoint.weights, storage, threads)
            self.token_budget = token_budget or _TOKEN_BUDGET
        else:
            model = gpu.open_model(checkpoint, device, storage, token_budget)
            self._model, self.token_budget = model, model.token_budget

    def encode(
        self,
        sentences: Texts,
        *,
        prompt_name: str | None = None,
        prompt: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        output_value: OutputValue = "sentence_embedding",
        precision: Precision = "float32",
        truncate_dim: int | None = None,
        normalize_embeddings: bool = True,
        truncation: Truncation | None = None,
        return_usage: bool = False,
    ) -> Any:
        """Turn texts into vectors.

        sentences             a str, or any iterable of str: list, generator, NumPy array, pandas column
        prompt_name           a name in `prompts`; or `prompt`, the text itself, one for all or one for each text;
                              neither: no prompt
        batch_size            at most this many sequences run at once; the token budget holds besides
        output_value          "token_embeddings": for each text [tokens, 768] float32 from behind the final norm
        precision             of the result; see gemlet.vectors.quantize
        truncate_dim          overrides the embedder's
        normalize_embeddings  False: the dense head's output as it is
        truncation            overrides the embedder's
        return_usage          also return a Usage: the tokens of each text, and how many were cut

        Returns [n, dim], or [dim] for a single str. Raises InputError and its kin, OutputError for NaN or infinity.
        """
        texts, single = as_texts(sentences)
        dim = self.truncate_dim if truncate_dim is None else vectors.check_dim(truncate_dim, self._full_dim)
        _one_of("precision", precision, Precision)
        _one_of("output_value", output_value, OutputValue)
        prompts = self._prompts_for(texts, prompt_name, prompt)
        sequences = self.sequences(apply_prompts(texts, prompts), prompts, truncation)
        if sequences.cut.any():
            warn(_cut_message(sequences, self.max_seq_length), TruncationWarning)
        result: Any
        if output_value == "token_embeddings":
            result = self._token_embeddings(sequences, batch_size, show_progress_bar)
        else:
            parts = self._parts(sequences, batch_size, show_progress_bar)
            result = vectors.quantize(self.finish(sequences, parts, dim, normalize_embeddings), precision)
        result = result[0] if single else result
        return (result, Usage(sequences.tokens, sequences.cut)) if return_usage else result

    def encode_query(self, sentences: Texts, *, prompt_name: str = "query", **options: Unpack[EncodeOptions]) -> Any:
        """encode() with a query's prompt, or another task's: `prompt_name="question answering"`."""
        return self.encode(sentences, prompt_name=prompt_name, **options)

    def encode_document(
        self, sentences: Texts, *, titles: str | Sequence[str | None] | None = None, **options: Unpack[EncodeOptions]
    ) -> Any:
        """encode() with the document prompt; `titles`, one for each text, go into it (better vectors: model card)."""
        texts, single = as_texts(sentences)
        titles = [titles] if isinstance(titles, str) else titles or [None] * len(texts)
        prompts = document_prompts(titles, len(texts))
        return self.encode(texts[0] if single else texts, prompt=prompts, **options)

    def sequences(
        self, prompted: Sequence[str], prompts: Sequence[str], truncation: Truncation | None = None
    ) -> Sequences:
        """Tokenise texts that have their prompts before them, and fit them to the model: encode()'s first half.

        prompts  what each begins with, or ""; "left" and "window" keep these

        Raises InputTooLong under "error"; warns of nothing.
        """
        ids, offsets = self._tokenizer.encode(prompted, self.control_tokens == "parse")
        if self._gguf is not None and len(ids) >= _MANY_TOKENS:
            self._gguf.drop_pages()
        parts = [ids[begin:end] for begin, end in pairwise(offsets)]
        return self._fitted(parts, lambda row: self._prompt_tokens(prompted[row], len(prompts[row])), truncation)

    def sequences_of_ids(self, ids: Sequence[npt.NDArray[np.int32]], truncation: Truncation | None = None) -> Sequences:
        """sequences() for texts that are tokens already: ids of this model, without <bos> and <eos>."""
        return self._fitted(ids, lambda row: 0, truncation)

    def compile(self) -> bool:
        """Make a GPU's small steps quick now, some ten seconds, and not behind its first ten million tokens.

        Return False where there is nothing to compile, as on a processor, or PyTorch finds no compiler.
        """
        compile_steps = getattr(self._model, "compile", None)
        return bool(compile_steps and compile_steps())

    def run(self, batch: Batch) -> FloatArray:
        """Run one batch of packing.pack(): [sequences, 768] float32 from behind the dense head, finite or not."""
        return self._model.embed(batch.input_ids, batch.cu_seqlens)

    def run_tokens(self, batch: Batch) -> list[FloatArray]:
        """Run one batch of packing.pack(): for each sequence [tokens, 768] float32 from behind the final norm."""
        rows = self._model.token_embeddings(batch.input_ids, batch.cu_seqlens)
        return [rows[begin:end] for begin, end in pairwise(batch.cu_seqlens.tolist())]

    def finish(self, sequences: Sequences, parts: FloatArray, dim: int, normalize: bool = True) -> FloatArray:
        """Make of what run() returned a vector for each text, [texts, dim] float32: encode()'s last half.

        parts  [sequences, 768]; the windows of a long text are averaged by their new tokens; may be written into
        """
        hidden = parts
        if len(parts) != len(sequences.tokens):
            hidden = np.zeros((len(sequences.tokens), self._full_dim), np.float32)
            np.add.at(hidden, sequences.rows, vectors.normalize(parts) * sequences.weights[:, None])
        hidden = hidden if dim == self._full_dim else hidden[:, :dim].copy()
        return vectors.normalize(hidden, out=hidden) if normalize else hidden

    def tokenize(self, texts: Texts, *, prompt_name: str | None = None, prompt: str | None = None) -> Any:
        """Return an Encoding for each text, or one Encoding for a single str; nothing is cut."""
        listed, single = as_texts(texts)
        prompted = apply_prompts(listed, self._prompts_for(listed, prompt_name, prompt))
        encodings = [self._encoding(text) for text in prompted]
        return encodings[0] if single else encodings

    def count_tokens(self, texts: Texts, *, prompt_name: str | None = None) -> npt.NDArray[np.int64]:
        """Return the tokens of each text, prompt, <bos> and <eos> included: [n] int64."""
        listed, _ = as_texts(texts)
        prompted = apply_prompts(listed, self._prompts_for(listed, prompt_name, None))
        return self._tokenizer.count(prompted, self.control_tokens == "parse") + 2

    @staticmethod
    def similarity(a: npt.ArrayLike, b: npt.ArrayLike, precision: Precision = "float32") -> FloatArray:
        """Cosine of each row of a with each row of b: [n, m] float32; see gemlet.vectors.similarity."""
        return vectors.similarity(a, b, precision)

    @staticmethod
    def similarity_pairwise(a: npt.ArrayLike, b: npt.ArrayLike, precision: Precision = "float32") -> FloatArray:
        """Cosine of row i of a with row i of b: [n] float32."""
        return vectors.similarity_pairwise(a, b, precision)

    def get_sentence_embedding_dimension(self) -> int:
        """Return how many numbers a vector has."""
        return self.truncate_dim

    @property
    def threads(self) -> int:
        """How many threads a call may use."""
        return self._model.threads

    @property
    def tokenizer(self) -> _core.Tokenizer:
        """The engine's; any number of threads may use it."""
        return self._tokenizer

    @property
    def checkpoint(self) -> Checkpoint:
        """What was read of the checkpoint's folder or file."""
        return self._checkpoint

    @property
    def isa(self) -> str:
        """The instruction set that the kernels were chosen for."""
        return self._model.isa

    def _prompts_for(self, texts: list[str], name: str | None, prompt: str | Sequence[str] | None) -> list[str]:
        if prompt is None:
            prompt = find_prompt(self.prompts, name) if name is not None else ""
        if isinstance(prompt, str):
            return [prompt] * len(texts)
        if len(prompt) != len(texts):
            raise InputError(f"there are {len(prompt)} prompts for {len(texts)} texts")
        return list(prompt)

    def _fitted(
        self, ids: Sequence[npt.NDArray[np.int32]], prompt_tokens: Callable[[int], int], truncation: Truncation | None
    ) -> Sequences:
        return fit(
            ids,
            prompt_tokens,
            limit=self.max_seq_length,
            truncation=_one_of("truncation", truncation or self.truncation, Truncation),
            bos=self._tokenizer.bos,
            eos=self._tokenizer.eos,
        )

    def _prompt_tokens(self, prompted: str, length: int) -> int:
        """How many tokens lie wholly in the first `length` code points."""
        _, spans = self._tokenizer.encode_with_offsets(prompted, self.control_tokens == "parse")
        return int(np.searchsorted(spans[:, 1], length, side="right"))

    def _encoding(self, text: str) -> Encoding:
        ids, spans = self._tokenizer.encode_with_offsets(text, self.control_tokens == "parse")
        ids = np.concatenate([[self._tokenizer.bos], ids, [self._tokenizer.eos]]).astype(np.int32)
        return Encoding(ids, [self._tokenizer.id_to_piece(i) for i in ids.tolist()], np.pad(spans, ((1, 1), (0, 0))))

    def _parts(self, sequences: Sequences, batch_size: int | None, progress: bool) -> FloatArray:
        """[sequences, 768] float32 from behind the dense head."""
        parts = np.empty((len(sequences.input_ids), self._full_dim), np.float32)
        for places, batch in self._batches(sequences, batch_size, progress):
            rows = self.run(batch)
            finite = np.isfinite(rows).all(axis=1)
            if not finite.all():
                row = sequences.rows[places[int(np.argmin(finite))]]
                reason = self._checkpoint.damage() or "run `gemlet verify`, the weights may be damaged"
                raise OutputError(f"the vector of text {row} is not finite: {reason}")
            parts[places] = rows
        return parts

    def _token_embeddings(self, sequences: Sequences, batch_size: int | None, progress: bool) -> list[FloatArray]:
        """For each text [tokens, 768] float32; the windows of a long text end to end."""
        found: dict[int, FloatArray] = {}
        for places, batch in self._batches(sequences, batch_size, progress):
            found |= zip(places.tolist(), self.run_tokens(batch), strict=True)
        parts: list[list[FloatArray]] = [[] for _ in sequences.tokens]
        for place, row in enumerate(sequences.rows):
            parts[row].append(found[place])
        return [np.concatenate(text) for text in parts]

    def _batches(
        self, sequences: Sequences, batch_size: int | None, progress: bool
    ) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
        """Batches with the places of their sequences: in the order given, or for a GPU in that of length."""
        if batch_size is not None:
            _positive("batch_size", batch_size)
        ids = sequences.input_ids
        order = np.arange(len(ids))
        if self.device != gpu.OWN:
            order = np.argsort([-len(one) for one in ids], kind="stable")
            ids = [ids[place] for place in order]
        batches = pack(ids, self.token_budget, batch_size)
        for batch in _with_bar(batches, len(ids)) if progress else batches:
            yield order[batch.first : batch.last], batch


def _with_bar(batches: Iterator[Batch], total: int) -> Iterator[Batch]:
    """The same batches, with a bar on stderr that counts their sequences as they are done."""
    from tqdm import tqdm

    with tqdm(total=total, unit="text") as bar:
        for batch in batches:
            yield batch
            bar.update(batch.last - batch.first)


def _cut_message(sequences: Sequences, limit: int) -> str:
    rows = np.flatnonzero(sequences.cut)
    shown = ", ".join(f"text {row} lost {sequences.cut[row]} of {sequences.tokens[row]}" for row in rows[:5])
    more = f", and {len(rows) - 5} more" if len(rows) > 5 else ""
    return (
        f"{len(rows)} of {len(sequences.tokens)} texts are longer than {limit} tokens and were cut: {shown}{more}; "
        'truncation="window" embeds the whole text'
    )


def _cores() -> int:
    """How many cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _one_of(name: str, value: Any, literal: Any) -> Any:
    if value not in get_args(literal):
        raise InputError(f"{name} is {value!r}; available: {', '.join(get_args(literal))}")
    return value


def _positive(name: str, value: int, least: int = 1) -> int:
    if not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}; it must be a whole number, {least} or more")
    return value
