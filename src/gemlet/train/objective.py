"""Which loss rows of each kind are learned by.   (TrainingSet, Student → torch module)"""

import dataclasses
from typing import Any

from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MatryoshkaLoss

from gemlet.errors import InputError
from gemlet.train.losses.recipe import RecipeLoss
from gemlet.train.rows import TrainingSet
from gemlet.train.settings import Settings


def loss_of(one: TrainingSet, student: Any, mini_batch: int | None, settings: Settings, processes: int) -> Any:
    """The recipe's loss for pairs, triplets and labels; CoSENT, summed over the same dimensions, for scores.

    Raises InputError for dimensions that the model's vectors do not have.
    """
    width = student.get_embedding_dimension()
    if max(settings.loss.dims) > width:
        raise InputError(f"dims are {settings.loss.dims}, and the model's vectors have {width} numbers: leave out more")
    if one.kind == "scores":
        return MatryoshkaLoss(
            student, CoSENTLoss(student, scale=settings.loss.scale), matryoshka_dims=list(settings.loss.dims)
        )
    return RecipeLoss(student, dataclasses.replace(settings.loss, mini_batch=mini_batch, gather=processes > 1))
