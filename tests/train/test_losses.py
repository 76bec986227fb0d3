"""Each loss is its formula, and its gradient the formula's slope; odd batches have a defined result or a clear line."""

import formulas
import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    GlobalOrthogonalRegularizationLoss,
    MultipleNegativesRankingLoss,
)

from gemlet.errors import InputError
from gemlet.train.losses import LossSettings, recipe
from gemlet.train.losses.contrastive import contrastive
from gemlet.train.losses.gather import gather
from gemlet.train.losses.matching import matching
from gemlet.train.losses.matryoshka import prefix
from gemlet.train.losses.recipe import RecipeLoss
from gemlet.train.losses.sameness import fingerprints, same
from gemlet.train.losses.spread import spread

DIMS = (8, 4)
FORMULA = 1e-10  # both are float64; the order of the sums differs
SLOPE = 1e-6  # of central differences with steps of 1e-6 on losses of about 10


class Lookup(torch.nn.Module):
    """A model whose vectors are the rows of a table: a text is one token."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(table))

    def get_embedding_dimension(self) -> int:
        return self.table.shape[1]

    def forward(self, features):
        return {"sentence_embedding": self.table[features["input_ids"][:, 0]]}


def column(ids) -> dict[str, torch.Tensor]:
    ids = torch.tensor(ids).reshape(-1, 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def columns_of(ids: np.ndarray) -> list[dict[str, torch.Tensor]]:
    """[B, C] numbers of texts → the columns."""
    return [column(ids[:, c]) for c in range(ids.shape[1])]


def table(texts: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((texts, 8))


def distinct(rows: int, columns: int) -> np.ndarray:
    return np.arange(rows * columns).reshape(rows, columns)


def settings(**choices) -> LossSettings:
    return LossSettings(**{"dims": DIMS, **choices})


def total(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts.values())).sum()


def unit(seed: int, *shape: int) -> torch.Tensor:
    return prefix(torch.tensor(np.random.default_rng(seed).standard_normal(shape)), shape[-1])


def unit_rows(vectors: torch.Tensor) -> torch.Tensor:
    return prefix(vectors.detach(), vectors.shape[-1])


# Each part against its formula


@pytest.mark.parametrize("negatives", [0, 1, 3])
@pytest.mark.parametrize(("scale", "hardness"), [(20.0, 5.0), (3.0, 0.0)])
def test_the_contrastive_loss_is_equation_2(negatives: int, scale: float, hardness: float) -> None:
    vectors = unit(1, 5, 2 + negatives, 8)
    rows = contrastive(vectors[:, 0], vectors[:, 1], vectors[:, 2:], torch.arange(5), scale=scale, hardness=hardness)
    weights = formulas.hardness_weights(vectors.numpy(), hardness)
    assert rows.shape == (5,)
    assert rows.mean().item() == pytest.approx(formulas.contrastive(vectors.numpy(), scale, weights), abs=FORMULA)


def test_what_is_no_negative_does_not_count() -> None:
    vectors = unit(2, 4, 4, 8)
    no_negative = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]).bool()
    no_hard_negative = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]]).bool()
    rows = contrastive(
        vectors[:, 0], vectors[:, 1], vectors[:, 2:], torch.arange(4), scale=20.0, hardness=5.0,
        no_negative=no_negative, no_hard_negative=no_hard_negative,
    )  # fmt: skip
    weights = formulas.hardness_weights(vectors.numpy(), 5.0)
    expected = formulas.contrastive(vectors.numpy(), 20.0, weights, no_negative, no_hard_negative)
    assert rows.mean().item() == pytest.approx(expected, abs=FORMULA)
    assert expected < formulas.contrastive(vectors.numpy(), 20.0, weights) - 0.01


def test_the_spread_term_is_equation_4() -> None:
    vectors = unit(3, 6, 2, 8)
    rows = sum(spread(vectors[:, c], vectors[:, c], torch.arange(6)) for c in (0, 1))
    assert rows.mean().item() == pytest.approx(formulas.spread(vectors.numpy()), abs=FORMULA)


@pytest.mark.parametrize("negatives", [0, 1, 2])
@pytest.mark.parametrize("length", [8, 11, 5], ids=["same", "longer", "shorter"])
def test_the_matching_loss_is_equation_5_whatever_the_teachers_length(negatives: int, length: int) -> None:
    vectors = np.random.default_rng(4).standard_normal((3, 2 + negatives, 8))
    teacher = np.random.default_rng(5).standard_normal((3, 2 + negatives, length))
    rows = matching(torch.tensor(vectors), torch.tensor(teacher))
    assert rows.mean().item() == pytest.approx(formulas.matching(vectors, teacher), abs=FORMULA)


def test_a_vector_that_is_its_teachers_has_no_gradient() -> None:
    vectors = unit(6, 2, 3, 8).requires_grad_()
    matching(vectors, vectors.detach()).sum().backward()
    assert torch.equal(vectors.grad, torch.zeros_like(vectors))


def test_pairs_without_duplicates_have_the_losses_of_sentence_transformers() -> None:
    ids, model = distinct(6, 2), Lookup(table(12))
    parts = RecipeLoss(model, settings(dims=(8,)))(columns_of(ids))
    vectors = [model(column)["sentence_embedding"] for column in columns_of(ids)]
    theirs = MultipleNegativesRankingLoss(model).compute_loss_from_embeddings(vectors, None)
    assert parts["contrastive"].item() == pytest.approx(theirs.item(), abs=FORMULA)
    far = GlobalOrthogonalRegularizationLoss(model, mean_weight=None, aggregation="sum")
    theirs = sum(far.compute_loss_from_embeddings([column])["gor_second_moment"] for column in vectors)
    above = sum(max(spread(v, v, torch.arange(6)).mean().item() - 1 / 8, 0) for v in map(unit_rows, vectors))
    assert theirs.item() == pytest.approx(above, abs=FORMULA)


# The whole, and its gradient


def expected_parts(vectors, weights, no_negative=None, teacher=None):
    """`weights`: for each of DIMS."""
    parts = {
        "contrastive": sum(
            formulas.contrastive(vectors[..., :dim], 20.0, weights[dim], no_negative) for dim in DIMS
        ),
        "spread": 0.5 * sum(formulas.spread(vectors[..., :dim]) for dim in DIMS),
    }  # fmt: skip
    return parts if teacher is None else parts | {"matching": 2.0 * formulas.matching(vectors, teacher)}


@pytest.mark.parametrize("mini_batch", [None, 2])
@pytest.mark.parametrize("negatives", [0, 2])
def test_the_recipe_is_the_sum_of_its_formulas_and_so_is_its_gradient(negatives: int, mini_batch: int | None) -> None:
    ids = distinct(3, 2 + negatives)
    ids[2, 0] = ids[0, 0]  # one query twice: rows 0 and 2 are no negatives of one another
    no_negative = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    values, teacher = table(ids.size), np.random.default_rng(7).standard_normal((3, 2 + negatives, 6))
    weights = {dim: formulas.hardness_weights(values[ids][..., :dim], 5.0) for dim in DIMS}

    def formula(at: np.ndarray) -> float:
        return sum(expected_parts(at[ids], weights, no_negative, teacher).values())

    model = Lookup(values)
    loss = RecipeLoss(model, settings(spread_weight=0.5, matching_weight=2.0, mini_batch=mini_batch))
    parts = loss(columns_of(ids), torch.tensor(teacher).flatten(1))
    expected = expected_parts(values[ids], weights, no_negative, teacher)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(expected, abs=FORMULA)
    total(parts).backward()
    np.testing.assert_allclose(model.table.grad.numpy(), formulas.slope(formula, values), atol=SLOPE)


def test_no_gradient_flows_through_the_hardness_weights() -> None:
    ids, values = distinct(3, 3), table(9)

    def with_moving_weights(at: np.ndarray) -> float:
        weights = {dim: formulas.hardness_weights(at[ids][..., :dim], 5.0) for dim in DIMS}
        return expected_parts(at[ids], weights)["contrastive"]

    model = Lookup(values)
    total(RecipeLoss(model, settings(spread_weight=0.0))(columns_of(ids))).backward()
    assert np.abs(model.table.grad.numpy() - formulas.slope(with_moving_weights, values)).max() > 100 * SLOPE


@pytest.mark.parametrize("mini_batch", [None, 2])
def test_comparing_block_by_block_changes_nothing(mini_batch: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, losses, gradients = distinct(5, 3), [], []
    for rows in (1024, 2):
        monkeypatch.setattr(recipe, "ROWS", rows)
        model = Lookup(table(15))
        loss = total(RecipeLoss(model, settings(mini_batch=mini_batch))(columns_of(ids)))
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.table.grad)
    assert losses[0] == pytest.approx(losses[1], abs=FORMULA)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=FORMULA)


def test_what_is_off_or_has_no_teacher_is_no_part() -> None:
    model, ids = Lookup(table(9)), distinct(3, 3)
    teacher = torch.zeros(3, 24)
    assert list(RecipeLoss(model, settings(spread_weight=0.0))(columns_of(ids))) == ["contrastive"]
    assert list(RecipeLoss(model, settings(matching_weight=0.0))(columns_of(ids), teacher)) == ["contrastive", "spread"]
    assert list(RecipeLoss(model, settings())(columns_of(ids), teacher)) == ["contrastive", "spread", "matching"]


def test_autocast_does_not_reach_the_similarities() -> None:
    loss, columns = RecipeLoss(Lookup(table(9).astype(np.float32)), settings()), columns_of(distinct(3, 3))
    plain = total(loss(columns))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(total(loss(columns)), plain)


# Which rows are no negatives


def recipe_of(ids: np.ndarray, labels=None, **choices) -> float:
    loss = RecipeLoss(Lookup(table(20)), settings(spread_weight=0.0, **choices))
    return loss(columns_of(ids), labels)["contrastive"].item()


def formula_of(ids: np.ndarray, no_negative=None, no_hard_negative=None) -> float:
    vectors = table(20)[ids]
    return sum(
        formulas.contrastive(
            vectors[..., :dim], 20.0, formulas.hardness_weights(vectors[..., :dim], 5.0), no_negative, no_hard_negative
        )
        for dim in DIMS
    )


def test_a_positive_that_another_row_has_too_is_no_negative_and_its_own_stays() -> None:
    ids = distinct(4, 3)
    ids[3, 1] = ids[1, 1]
    no_negative = np.zeros((4, 4))
    no_negative[1, 3] = no_negative[3, 1] = 1
    assert recipe_of(ids) == pytest.approx(formula_of(ids, no_negative), abs=FORMULA)
    assert recipe_of(ids, mask_duplicates=False) == pytest.approx(formula_of(ids), abs=FORMULA)


def test_a_hard_negative_that_is_the_rows_own_positive_is_left_out() -> None:
    ids = distinct(3, 4)
    ids[1, 3] = ids[1, 1]
    assert recipe_of(ids) == pytest.approx(formula_of(ids, None, np.array([[0, 0], [0, 1], [0, 0]])), abs=FORMULA)


def test_rows_of_one_label_are_no_negatives_of_one_another() -> None:
    ids, labels = distinct(4, 2), torch.tensor([7, 3, 7, 7])
    no_negative = np.equal.outer(labels.numpy(), labels.numpy())
    assert recipe_of(ids, labels) == pytest.approx(formula_of(ids, no_negative), abs=FORMULA)
    assert recipe_of(ids, labels, mask_duplicates=False) == pytest.approx(formula_of(ids, no_negative), abs=FORMULA)
    ids[1, 0] = ids[0, 0]  # and a text that is the same, under another label
    no_negative[0, 1] = no_negative[1, 0] = True
    assert recipe_of(ids, labels) == pytest.approx(formula_of(ids, no_negative), abs=FORMULA)


def test_a_text_is_the_same_whatever_its_padding() -> None:
    right = {"input_ids": torch.tensor([[2, 5, 0, 0], [2, 5, 6, 7]])}
    right["attention_mask"] = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    left = {"input_ids": torch.tensor([[0, 2, 5], [2, 5, 0]]), "attention_mask": torch.tensor([[0, 1, 1], [1, 1, 1]])}
    flat = {"input_ids": torch.tensor([[2, 5, 2, 5, 6, 7]]), "cu_seq_lens_q": torch.tensor([0, 2, 6])}
    assert same(fingerprints(right), fingerprints(left)).tolist() == [[True, False], [False, False]]
    assert torch.equal(fingerprints(flat), fingerprints(right))


# Odd batches


@pytest.mark.parametrize("mini_batch", [None, 1])
def test_one_pair_has_nothing_to_learn_from(mini_batch: int | None) -> None:
    model = Lookup(table(2))
    parts = RecipeLoss(model, settings(mini_batch=mini_batch))(columns_of(distinct(1, 2)))
    total(parts).backward()
    assert {name: part.item() for name, part in parts.items()} == {"contrastive": 0.0, "spread": 0.0}
    assert torch.equal(model.table.grad, torch.zeros_like(model.table))


def test_one_triplet_learns_from_its_hard_negative_alone() -> None:
    ids, values = distinct(1, 3), table(3)
    model = Lookup(values)
    parts = RecipeLoss(model, settings())(columns_of(ids))
    total(parts).backward()
    weights = {dim: formulas.hardness_weights(values[ids][..., :dim], 5.0) for dim in DIMS}
    expected = formulas.slope(lambda at: expected_parts(at[ids], weights)["contrastive"], values)
    np.testing.assert_allclose(model.table.grad.numpy(), expected, atol=SLOPE)
    assert parts["spread"].item() == 0.0


@pytest.mark.parametrize("mini_batch", [None, 2])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_vector_that_is_no_number_shows_in_the_loss(broken: int, rows: int, mini_batch: int | None) -> None:
    ids, values = distinct(rows, 3), table(12)
    values[ids[rows - 1, broken]] = np.nan
    parts = RecipeLoss(Lookup(values), settings(mini_batch=mini_batch))(columns_of(ids))
    assert parts["contrastive"].isnan()
    assert total(parts).isnan()


def test_a_vector_of_zeros_has_a_finite_loss_and_gradient() -> None:
    values = table(6)
    values[1] = 0.0
    model = Lookup(values)
    loss = total(RecipeLoss(model, settings())(columns_of(distinct(3, 2))))
    loss.backward()
    assert loss.isfinite()
    assert model.table.grad.isfinite().all()


def test_outside_a_process_group_this_rank_is_all() -> None:
    rows = torch.ones(2, 3)
    assert gather(rows) is rows
    ids = distinct(3, 3)
    assert recipe_of(ids, gather=True) == recipe_of(ids)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.tensor([0.5, 1.0, 0.0]), "scored pairs need another loss"),
        (torch.tensor([1, 2]), r"labels are torch.int64 \[2\] for 3 rows of 3 texts"),
        (torch.zeros(3, 10), r"\[rows, columns · dimension\]"),
        (torch.zeros(3, 0), r"\[3, 0\]"),
        (torch.zeros(2, 9), r"\[2, 9\]"),
        (torch.tensor([[0.0] * 9, [0.0] * 9, [0.0] * 5 + [np.nan] + [0.0] * 3]), "row 2 of a batch, column 1"),
    ],
    ids=["scores", "rows", "width", "nothing", "fewer", "nan"],
)
def test_labels_that_cannot_be_used_are_named(labels: torch.Tensor, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RecipeLoss(Lookup(table(9)), settings())(columns_of(distinct(3, 3)), labels)


def test_one_column_is_not_enough() -> None:
    with pytest.raises(InputError, match=r"two columns or more .*, not 1"):
        RecipeLoss(Lookup(table(3)), settings())(columns_of(distinct(3, 1)))


def test_a_length_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"dims is \(768, 512, 256, 128\), but the model's vectors have 8 numbers"):
        RecipeLoss(Lookup(table(3)))


@pytest.mark.parametrize(
    "choice",
    [
        {"scale": 0.0}, {"scale": float("nan")}, {"hardness": -1.0}, {"spread_weight": float("inf")},
        {"matching_weight": -0.1}, {"dims": ()}, {"dims": (8, 0)}, {"dims": (8, 8)}, {"mini_batch": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_choice_that_makes_no_sense_is_refused(choice: dict) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(choice))} is "):
        LossSettings(**choice)
