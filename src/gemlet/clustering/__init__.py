"""Texts or vectors → groups, named and shown by examples.   (texts → vectors → labels → Clustering)

clusters.py  Clustering, the result
space.py     where clusters are looked for
spherical.py  k-means, for a number of clusters that is given or found
choosing.py  how many clusters
density.py   HDBSCAN: clusters and noise
names.py     the words that tell clusters apart
quality.py   how good they are
anomaly.py   what fits nowhere
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet.clustering.anomaly import anomaly_scores
from gemlet.clustering.choosing import choose_k
from gemlet.clustering.clusters import NOISE, Clustering
from gemlet.clustering.density import dense_groups
from gemlet.clustering.names import telling_words
from gemlet.clustering.quality import Quality, quality_of
from gemlet.clustering.space import cluster_space
from gemlet.clustering.spherical import IntArray, centres_of, kmeans
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.texts import Texts, as_texts
from gemlet.vectors import FloatArray, normalize

Method = Literal["kmeans", "hdbscan"]

EXAMPLES = 3
"""Of each cluster."""

__all__ = ["NOISE", "Clustering", "Method", "Quality", "check_count", "cluster"]


def cluster(
    items: Texts | npt.NDArray[Any],
    k: int | None = None,
    *,
    method: Method = "kmeans",
    seed: int = 0,
    texts: Sequence[str] | None = None,
    known: Sequence[str] | None = None,
    model: Embedder | str | None = None,
) -> Clustering:
    """Put texts, or their vectors, into groups of like meaning.

    items   texts, which are embedded with the prompt for clustering; or vectors [n, d] of any length
    k       the number of clusters; None: as many as fit best, 2 to 50 (kmeans); "hdbscan" always finds it itself
    method  "kmeans" puts every row into a cluster; "hdbscan" leaves out what lies alone (extra `cluster`)
    seed    of what is left to chance: the same seed gives the same clusters
    texts   with vectors: their texts, for names and examples
    known   a known label for each row, for quality's comparison with them
    model   with texts: the Embedder, or its name; None: google/embeddinggemma-300m

    Raises InputError for fewer than 2 rows, rows that are all the same, more clusters than rows, vectors that are not
    finite; MissingExtra.
    """
    given = items if isinstance(items, np.ndarray) and items.dtype.kind in "fiu" else None
    said = as_texts(items)[0] if given is None else as_texts(texts)[0] if texts is not None else None
    rows = len(said or []) if given is None else len(given)
    check_count(rows, k, method)
    _check_lengths(rows, said, known)
    vectors = _embedded(said or [], model) if given is None else _unit(given)
    differing = _differing(vectors, at_least=k)
    labels = dense_groups(vectors) if method == "hdbscan" else _by_kmeans(vectors, k, differing, seed)
    count = int(labels.max(initial=NOISE)) + 1
    centres = centres_of(vectors, labels, count) if count else np.empty((0, vectors.shape[1]), np.float32)
    words: list[list[str]] = telling_words(said, labels, count) if said is not None else [[]] * count
    return Clustering(
        labels=labels,
        centres=centres,
        names=[" · ".join(own) if own else f"cluster {number}" for number, own in enumerate(words)],
        words=words,
        examples=_examples(vectors, labels, centres, said),
        anomaly=anomaly_scores(vectors, seed),
        quality=quality_of(vectors, labels, known, seed),
    )


def _embedded(texts: list[str], model: Embedder | str | None) -> FloatArray:
    embedder = model if isinstance(model, Embedder) else Embedder(model) if model else Embedder()
    vectors: FloatArray = embedder.encode(texts, prompt_name="Clustering")
    return vectors


def _unit(vectors: npt.NDArray[Any]) -> FloatArray:
    """Float32 rows of unit length. Raises InputError for what is no table of finite numbers."""
    if vectors.ndim != 2:
        raise InputError(f"vectors of shape {vectors.shape} were given: a table [rows, numbers] is needed")
    unfit = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(unfit):
        raise InputError(f"vector {unfit[0]} has NaN or infinity in it: leave the row out")
    return normalize(np.asarray(vectors, np.float32))


def _check_lengths(rows: int, texts: list[str] | None, known: Sequence[str] | None) -> None:
    """Raise InputError when there is not one text, or label, for each row."""
    for what, given in (("texts", texts), ("known labels", known)):
        if given is not None and len(given) != rows:
            raise InputError(f"there are {len(given)} {what} for {rows} vectors: one for each is needed")


def check_count(rows: int, k: int | None, method: Method) -> None:
    """Raise InputError when so many rows cannot make k clusters by the method: known before a text is embedded."""
    if rows < 2:
        raise InputError(f"there {'is 1 row' if rows else 'are no rows'}: clusters need 2 or more")
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; available: {', '.join(get_args(Method))}")
    if k is not None and method == "hdbscan":
        raise InputError("hdbscan finds the number of clusters itself: leave k out, or choose kmeans")
    if k is not None and not 1 <= k <= rows:
        raise InputError(f"k is {k}, with {rows} rows: choose 1 to {rows}")


def _differing(vectors: FloatArray, at_least: int | None) -> int:
    """How many rows differ. Raises InputError when all are the same, or fewer than `at_least` differ."""
    differing = len({hash(row.tobytes()) for row in vectors})
    if differing == 1:
        raise InputError(f"all {len(vectors)} rows are the same: there is nothing to tell apart")
    if at_least is not None and differing < at_least:
        raise InputError(
            f"k is {at_least}, and only {differing} of {len(vectors)} rows differ: choose 1 to {differing}"
        )
    return differing


def _by_kmeans(vectors: FloatArray, k: int | None, differing: int, seed: int) -> IntArray:
    count = choose_k(vectors, differing, seed) if k is None else k
    return kmeans(cluster_space(vectors, count), count, seed).labels


def _examples(vectors: FloatArray, labels: IntArray, centres: FloatArray, texts: list[str] | None) -> list[list[int]]:
    """For each cluster the rows nearest to its centre, no text twice."""
    every = []
    for number, centre in enumerate(centres):
        rows = np.flatnonzero(labels == number)
        order = rows[np.argsort(-(vectors[rows] @ centre), kind="stable")].tolist()
        distinct = {texts[row] if texts is not None else row: row for row in reversed(order)}
        every.append(sorted(distinct.values(), key=order.index)[:EXAMPLES])
    return every
