"""Does this install give the publisher's vectors?   (Embedder → Report)

The goldens are texts with the token ids and the float32 vectors that sentence-transformers gave for them
(tools/make_goldens.py). The embedder is asked for the same and the difference is named: tokens, prompts, batching, or
what of the model is missing.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError, InvalidDimension, TruncationWarning
from gemlet.gpu import OWN

if TYPE_CHECKING:
    from gemlet.embedder import Embedder

GOLDENS = Path(__file__).parent / "goldens"
LIMIT = 2048
QUICK_TOKENS = 300

# The body's outlier channel: 0.44 to 0.67 in every unit vector taken before the dense head (measured on the goldens of
# up to 300 tokens), and -0.006 on the average behind it.
POOLED_OUTLIER = 407

# (smallest cosine, largest difference of a coordinate), by quantization.
# f32: another order of float32 sums stays within 5e-7 of the goldens (measured: the NumPy reference, in float32 and in
# float64); the bound leaves 40 times that for other kernels.
# bf16: weights and activations rounded to bfloat16 reach 0.99953 and 3.7e-3 on the worst golden, 0.99997 on the mean.
# q8_0: products in 8 bits reach 0.99850 and 7.1e-3 on the worst golden, 0.99969 on the mean.
# Packed from a folder at each start, without balance, they reach 0.99690 and 1.2e-2.
# The bounds leave twice what is missing to 1, and twice the difference.
BOUNDS = {"f32": (0.999999, 2e-5), "bf16": (0.999, 1e-2), "q8_0": (0.99, 3e-2)}

FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Golden:
    """One text, and what the publisher's stack makes of `prompt + text`.

    input_ids  [tokens, at most 2048] int32, <bos> and <eos> included
    vector     [768] float32, unit length
    control    the text spells control tokens, and input_ids hold them parsed
    """

    id: str
    language: str
    prompt: str
    prompt_name: str | None
    title: str | None
    text: str
    control: bool
    tokens: int  # before the cut to 2048
    input_ids: npt.NDArray[np.int32] = field(repr=False)
    vector: FloatArray = field(repr=False)

    @property
    def prompted(self) -> str:
        """What the tokenizer reads."""
        return self.prompt + self.text


@dataclass(frozen=True)
class Report:
    """What verify() found. problems is empty exactly when passed; lines is the whole of it for people."""

    passed: bool
    quantization: str
    texts: int
    worst_text: str
    worst_cosine: float
    mean_cosine: float
    max_abs_diff: float
    problems: list[str]
    lines: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def load_goldens() -> list[Golden]:
    """Read the goldens that come with the package."""
    entries = json.loads((GOLDENS / "goldens.json").read_text(encoding="utf-8"))["texts"]
    with np.load(GOLDENS / "goldens.npz", allow_pickle=False) as arrays:
        vectors, input_ids, cu_seqlens = arrays["vectors"], arrays["input_ids"], arrays["cu_seqlens"]
    return [
        Golden(
            id=entry["id"],
            language=entry["language"],
            prompt=entry["prompt"],
            prompt_name=entry.get("prompt_name"),
            title=entry.get("title"),
            text=entry["text"],
            control=entry.get("control") == "parse",
            tokens=entry["tokens"],
            input_ids=input_ids[begin:end],
            vector=vector,
        )
        for entry, vector, (begin, end) in zip(entries, vectors, pairwise(cu_seqlens.tolist()), strict=True)
    ]


def verify(embedder: "Embedder", *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Run the embedder over the goldens and say PASS, or what is wrong.

    embedder  of the published checkpoint; a fine-tuned one has other vectors and fails
    quick     only the texts of at most 300 tokens
    progress  called with (texts done, texts in all)

    Raises InputError when no bounds are known for the embedder's quantization.
    """
    if embedder.quantization not in BOUNDS:
        raise InputError(f"quantization is {embedder.quantization!r}; goldens have bounds for {', '.join(BOUNDS)}")
    longest = min(embedder.max_seq_length, QUICK_TOKENS if quick else LIMIT)
    goldens = [
        golden
        for golden in load_goldens()
        if (golden.tokens <= longest or longest == LIMIT) and (not golden.control or embedder.control_tokens == "parse")
    ]
    try:
        vectors = _encode_all(embedder, goldens, progress)
    except InvalidDimension as error:
        wrong = f"vectors: {error}: this is not EmbeddingGemma-300M"
        return _report(goldens, np.empty((0, 0), np.float32), embedder.quantization, [wrong])
    problems = _check_tokens(embedder, goldens)
    if not problems:  # wrong tokens explain every wrong vector
        problems += check_vectors(goldens, vectors, embedder.quantization)
    problems += _check_batches(embedder, goldens, vectors) + _check_prompts(embedder, goldens)
    return _report(goldens, vectors, embedder.quantization, problems)


def check_vectors(goldens: Sequence[Golden], vectors: FloatArray, quantization: str) -> list[str]:
    """Compare vectors [n, 768] with the goldens'; an empty list, or what is wrong and what it probably comes from."""
    if vectors.shape != (len(goldens), 768):
        return [f"vectors: the shape is {vectors.shape}, not {(len(goldens), 768)}"]
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        return [f"vectors: {np.sum(~finite)} hold NaN or infinity, the first is `{goldens[int(np.argmin(finite))].id}`"]
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if np.abs(norms - 1).max() > 1e-5:  # a float32 division leaves 1e-7
        row = int(np.argmax(np.abs(norms - 1)))
        return [f"vectors: not of unit length, `{goldens[row].id}` has {norms[row]:.6g}"]
    cosines, differences = compare(goldens, vectors)
    least, most = BOUNDS[quantization]
    bad = (cosines < least) | (differences > most)
    if not bad.any():
        return []
    row = int(np.argmin(cosines))
    return [
        f"vectors: {bad.sum()} of {len(goldens)} texts are wrong, `{goldens[row].id}` most: cosine {cosines[row]:.7f}, "
        f"difference {differences[row]:.2g} (bounds for {quantization}: {least}, {most:g})",
        f"probably: {diagnose(goldens, vectors, cosines, bad)}",
    ]


def compare(goldens: Sequence[Golden], vectors: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return for each text (cosine, largest absolute difference) to its golden vector, in float64."""
    expected = np.stack([golden.vector for golden in goldens]).astype(np.float64)
    given = vectors.astype(np.float64)
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(given, axis=1)
    return np.sum(expected * given, axis=1) / norms, np.abs(expected - given).max(axis=1)


def diagnose(
    goldens: Sequence[Golden], vectors: FloatArray, cosines: npt.NDArray[np.float64], bad: npt.NDArray[np.bool_]
) -> str:
    """Name what most probably makes finite unit vectors wrong."""
    expected = np.stack([golden.vector for golden in goldens])
    nearest = np.argmax(vectors @ expected.T, axis=1)
    misplaced = bad & (nearest != np.arange(len(goldens))) & (np.sum(vectors * expected[nearest], axis=1) > 0.999)
    if misplaced.any():
        row = int(np.argmax(misplaced))
        return f"the rows are out of order: `{goldens[row].id}` got the vector of `{goldens[nearest[row]].id}`"
    tokens = np.array([len(golden.input_ids) for golden in goldens])
    if not bad.all() and tokens[bad].min() > tokens[~bad].max():
        return _diagnose_long(int(tokens[~bad].max()), int(tokens[bad].min()))
    if (cosines[bad] > 0.99).all():
        return "all of it is small: a lower precision than the embedder claims, or a step of the arithmetic that is off"
    if vectors[:, POOLED_OUTLIER].mean() > 0.3:
        return f"the dense head (2_Dense, 3_Dense) is missing: coordinate {POOLED_OUTLIER} is the pooled vector's"
    return "the texts are wrong at any length: other weights (a fine-tune?), a causal mask, or a wrong RoPE base"


def _diagnose_long(longest_right: int, shortest_wrong: int) -> str:
    lengths = f"texts of up to {longest_right} tokens are right, all of {shortest_wrong} and more are wrong"
    if shortest_wrong <= QUICK_TOKENS:  # the first text that a ±256 window cuts has 258 tokens
        return f"{lengths}: the window of the sliding layers is not ±256"
    return f"{lengths}: long texts are cut or split"


def _check_tokens(embedder: "Embedder", goldens: Sequence[Golden]) -> list[str]:
    wrong = []
    for golden, encoding in zip(goldens, embedder.tokenize([golden.prompted for golden in goldens]), strict=True):
        ids = encoding.ids.tolist()
        if len(ids) != golden.tokens:
            wrong.append(f"`{golden.id}` has {len(ids)} tokens, not {golden.tokens}")
            continue
        if len(ids) > LIMIT:
            ids = [*ids[: LIMIT - 1], ids[-1]]
        differing = np.flatnonzero(golden.input_ids != ids)
        if differing.size:
            at = int(differing[0])
            wrong.append(f"`{golden.id}`, token {at} is {ids[at]}, not {golden.input_ids[at]}")
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return [f"tokenizer: {len(wrong)} of {len(goldens)} texts differ: {'; '.join(wrong[:3])}{more}"] if wrong else []


def _check_batches(embedder: "Embedder", goldens: Sequence[Golden], vectors: FloatArray) -> list[str]:
    """The same vector alone as in a batch, for a handful of lengths."""
    rows = [row for row, golden in enumerate(goldens) if len(golden.input_ids) <= QUICK_TOKENS]
    rows = rows[:: max(1, len(rows) // 6)]
    wrong = [goldens[row].id for row in rows if not _same(embedder, _encode(embedder, [goldens[row]])[0], vectors[row])]
    return (
        [f"batches: other vectors alone than in a batch: {', '.join(f'`{text}`' for text in wrong)}"] if wrong else []
    )


def _check_prompts(embedder: "Embedder", goldens: Sequence[Golden]) -> list[str]:
    """encode_query() and encode_document() put the right words before the text."""
    queries = [golden for golden in goldens if golden.prompt_name == "query"]
    documents = [golden for golden in goldens if golden.prompt_name == "document" or golden.title is not None]
    documents = [golden for golden in documents if len(golden.input_ids) <= QUICK_TOKENS]
    problems = []
    for name, chosen, given in (
        ("encode_query()", queries, embedder.encode_query([g.text for g in queries], truncate_dim=768)),
        (
            "encode_document(titles=)",
            documents,
            embedder.encode_document(
                [g.text for g in documents], titles=[g.title for g in documents], truncate_dim=768
            ),
        ),
    ):
        if not _same(embedder, given, _encode(embedder, chosen)):
            problems.append(f"prompts: {name} differs from encode() of the same text with its prompt written out")
    return problems


def _same(embedder: "Embedder", a: FloatArray, b: FloatArray) -> bool:
    """Bit equality, on a GPU equality up to what rounding does; NaN is check_vectors()'s business."""
    if embedder.device == OWN:
        return np.array_equal(a, b, equal_nan=True)
    return a.shape == b.shape and not (np.abs(a - b) > BOUNDS[embedder.quantization][1]).any()


def _encode_all(embedder: "Embedder", goldens: Sequence[Golden], progress: Progress | None) -> FloatArray:
    """Encode sixteen texts a call, so that progress moves; in one call they meet in a batch."""
    parts = []
    for begin in range(0, len(goldens), 16):
        parts.append(_encode(embedder, goldens[begin : begin + 16]))
        if progress is not None:
            progress(min(begin + 16, len(goldens)), len(goldens))
    return np.concatenate(parts)


def _encode(embedder: "Embedder", goldens: Sequence[Golden]) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # one golden is longer than the model takes, on purpose
        vectors = embedder.encode([golden.prompted for golden in goldens], truncate_dim=768, truncation="right")
    return np.asarray(vectors, np.float32)


def _report(goldens: Sequence[Golden], vectors: FloatArray, quantization: str, problems: list[str]) -> Report:
    longest = max(len(golden.input_ids) for golden in goldens)
    lines = [
        f"{len(goldens)} texts of 2 to {longest} tokens against the publisher's stack, quantization {quantization}"
    ]
    worst_text, worst_cosine, mean_cosine, max_abs_diff = "", float("nan"), float("nan"), float("nan")
    if vectors.shape == (len(goldens), 768) and np.isfinite(vectors).all():
        cosines, differences = compare(goldens, vectors)
        worst_text, worst_cosine = goldens[int(np.argmin(cosines))].id, float(cosines.min())
        mean_cosine, max_abs_diff = float(cosines.mean()), float(differences.max())
        lines.append(
            f"cosine: mean {mean_cosine:.8f}, worst {worst_cosine:.8f} (`{worst_text}`); "
            f"largest difference of a coordinate {max_abs_diff:.2g}"
        )
    lines += problems or ["tokens, prompts and batches agree"]
    lines.append("FAIL" if problems else "PASS")
    return Report(
        not problems, quantization, len(goldens), worst_text, worst_cosine, mean_cosine, max_abs_diff, problems, lines
    )
