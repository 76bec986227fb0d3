"""Which loss rows of each kind are learned by.   (TrainingSet, Student → torch module)"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MatryoshkaLoss
from torch import Tensor, nn
from torch.nn import functional

from gemlet.errors import InputError
from gemlet.train.losses.recipe import RecipeLoss
from gemlet.train.rows import TrainingSet
from gemlet.train.settings import Settings


def loss_of(one: TrainingSet, student: Any, mini_batch: int | None, settings: Settings, processes: int) -> Any:
    """The recipe's loss for pairs, triplets and labels; CoSENT, summed over the same dimensions, for scores;
    nearness to the teacher for texts.

    Raises InputError for dimensions that the model's vectors do not have.
    """
    width = student.get_embedding_dimension()
    if max(settings.loss.dims) > width:
        raise InputError(f"dims are {settings.loss.dims}, and the model's vectors have {width} numbers: leave out more")
    if one.kind == "texts":
        return Nearness(student)
    if one.kind == "scores":
        return MatryoshkaLoss(
            student, CoSENTLoss(student, scale=settings.loss.scale), matryoshka_dims=list(settings.loss.dims)
        )
    return RecipeLoss(student, dataclasses.replace(settings.loss, mini_batch=mini_batch, gather=processes > 1))


class Nearness(nn.Module):
    """1 - cosine to the teacher's vector, the mean of a batch: what a student of its own kind has to make good."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor) -> Tensor:
        """One column of B texts, teacher vectors [B, d] → a scalar."""
        (texts,) = sentence_features
        return 1 - functional.cosine_similarity(self.model(texts)["sentence_embedding"], labels).mean()
