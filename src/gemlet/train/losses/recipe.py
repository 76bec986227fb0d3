"""The objective as one loss.   (columns of tokens, labels → named losses whose sum is trained on)

    L = L_C + spread_weight · L_S + matching_weight · L_D,   L_C and L_S summed over `dims`, each prefix at unit length

Why not sentence-transformers' classes for the parts: MultipleNegativesRankingLoss also compares a query with the hard
negatives of other rows, and has no mask for duplicates; GlobalOrthogonalRegularizationLoss subtracts 1 / d, stops at 0,
and does not gather; EmbedDistillLoss takes one mean over all columns; and each embeds the batch for itself, with the
gradient cache twice. Here a batch is embedded once, and the parts are functions of its vectors. The gradient cache
(GradCache, arXiv 2101.06983: a second pass with the first one's random numbers, one exchange between ranks at its
end) and the gathering of vectors with their gradients are sentence-transformers'.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from torch import Tensor, nn

from gemlet.errors import InputError
from gemlet.train.losses.batch import Batch, read_batch
from gemlet.train.losses.contrastive import contrastive
from gemlet.train.losses.gather import gather
from gemlet.train.losses.matching import matching
from gemlet.train.losses.matryoshka import prefix
from gemlet.train.losses.settings import LossSettings
from gemlet.train.losses.spread import spread

Parts = dict[str, Tensor]

# Rows that are compared with all others at a time. With the gradient cache the similarities of one such block, at one
# length, are in memory.
ROWS = 1024


class RecipeLoss(nn.Module):
    """EmbeddingGemma's loss on columns query, positive, hard negatives (0 or more).

    model     a SentenceTransformer; the trainer may put its parallel wrapper in the place
    settings  the choices

    Raises InputError if one of `settings.dims` is longer than the model's vectors.
    """

    def __init__(self, model: nn.Module, settings: LossSettings | None = None) -> None:
        super().__init__()
        self.model = model
        self.settings = settings or LossSettings()
        width = model.get_embedding_dimension()
        if max(self.settings.dims) > width:
            raise InputError(
                f"dims is {self.settings.dims}, but the model's vectors have {width} numbers: leave out what is longer"
            )

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Parts:
        """Columns of B tokenized texts each → "contrastive", "spread", "matching": scalars, weights included.

        labels: None; or teacher vectors [B, columns · t] or [B, columns, t] float; or [B] int: rows with the same
        number are no negatives of one another. What is off, or has no teacher, is not among the parts.

        Each rank returns the mean over its own rows. NaN in a vector comes out as NaN.
        Raises InputError for fewer than two columns, for other labels, for a teacher's vector that is not finite, and
        where the ranks' batches differ in shape.
        """
        columns = list(sentence_features)
        batch = read_batch(columns, labels, self.settings)

        def terms(vectors: Tensor) -> Iterator[Parts]:
            return _terms(vectors, batch, self.settings)

        if self.settings.mini_batch is None:
            parts: Parts = {}
            vectors = torch.stack([self.model(dict(column))["sentence_embedding"] for column in columns], dim=1)
            for term in terms(_everyone(vectors, self.settings)):
                _add(parts, term)
            return parts
        cached = _Cached(self.model, self.settings, terms)
        total = cached.forward_cached(columns)
        # The second pass hangs on `total`; the difference is 0, and carries its gradient.
        return cached.parts | {"contrastive": cached.parts["contrastive"] + (total - total.detach())}

    def get_config_dict(self) -> dict[str, Any]:
        """The settings, for sentence-transformers' model card."""
        return asdict(self.settings)


class _Cached(CachedLossMixin):
    """One batch on its way through the gradient cache: vectors without a graph → parts, and the vectors' gradients."""

    def __init__(self, model: nn.Module, settings: LossSettings, terms: Callable[[Tensor], Iterator[Parts]]) -> None:
        self.model = model
        self.mini_batch_size = settings.mini_batch
        self.settings = settings
        self.terms = terms
        self.parts: Parts = {}

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """reps: for each column the mini-batches' vectors, leaves → the total, detached; their gradients are filled.

        Term after term goes back to the vectors at once, so that only one term's similarities are in memory.
        """
        vectors = _everyone(torch.stack([torch.cat(column) for column in reps], dim=1), self.settings)
        leaf = vectors.detach().requires_grad_(with_backward)
        for term in self.terms(leaf):
            if with_backward:
                torch.stack(list(term.values())).sum().backward()
            _add(self.parts, {name: value.detach() for name, value in term.items()})
        if with_backward:
            vectors.backward(leaf.grad)
        return torch.stack(list(self.parts.values())).sum()


def _everyone(vectors: Tensor, settings: LossSettings) -> Tensor:
    """[B, C, d] → [N, C, d], in float32 at least: similarities in 16 bits have three digits."""
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return gather(vectors) if settings.gather else vectors


def _terms(vectors: Tensor, batch: Batch, settings: LossSettings) -> Iterator[Parts]:
    """[N, C, d] of all ranks → parts that add up to the loss of this rank's rows, a graph of its own under each."""
    for dim in settings.dims:
        for rows in batch.own.split(ROWS):
            losses = _compare(vectors, dim, rows, batch, settings)
            yield {name: row_losses.sum() / len(batch.own) for name, row_losses in losses.items()}
    if batch.teacher is not None and settings.matching_weight:
        distances = matching(vectors[batch.own], batch.teacher.to(vectors.dtype))
        yield {"matching": settings.matching_weight * distances.mean()}


def _compare(vectors: Tensor, dim: int, rows: Tensor, batch: Batch, settings: LossSettings) -> Parts:
    """L_C and L_S [R] each of `rows` [R] of the N, at one length; at full precision under autocast too."""
    with torch.autocast(vectors.device.type, enabled=False):
        cut = prefix(vectors, dim)
        queries, positives = cut[:, 0], cut[:, 1]
        parts = {
            "contrastive": contrastive(
                queries[rows], positives, cut[rows, 2:], rows, scale=settings.scale, hardness=settings.hardness,
                no_negative=batch.no_negatives(rows), no_hard_negative=batch.no_hard_negatives(rows),
            )
        }  # fmt: skip
        if settings.spread_weight:
            both = spread(queries[rows], queries, rows) + spread(positives[rows], positives, rows)
            parts["spread"] = settings.spread_weight * both
        return parts


def _add(parts: Parts, term: Parts) -> None:
    for name, value in term.items():
        parts[name] = parts[name] + value if name in parts else value
