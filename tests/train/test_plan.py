"""The batches of a run are decided before its first step."""

from collections import Counter

import numpy as np
import pytest
from training import settings

from gemlet.errors import InputError
from gemlet.train.plan import plan
from gemlet.train.rows import TrainingSet


def of_pairs(count: int, name: str = "pairs", columns: int = 2) -> TrainingSet:
    names = ["anchor", "positive", "negative_1"][:columns]
    return TrainingSet(name, "pairs", names, [(f"{name}{i}",) * columns for i in range(count)], [], [""] * count, [])


def of_labels(labels: list[str]) -> TrainingSet:
    return TrainingSet("labels", "labels", ["text"], [(f"t{i}",) for i in range(len(labels))], labels, [], [])


def test_every_row_comes_once_an_epoch_in_another_order_each_time() -> None:
    found = plan([of_pairs(50)], settings(epochs=3))
    assert [len(batch.rows) for batch in found].count(8) == 18
    epochs = [np.concatenate([batch.rows for batch in found[i : i + 7]]) for i in (0, 7, 14)]
    for rows in epochs:
        assert sorted(rows.tolist()) == list(range(50))
    assert not np.array_equal(epochs[0], epochs[1])


def test_the_same_seed_is_the_same_plan_and_another_is_not() -> None:
    def rows(seed: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in plan([of_pairs(30), of_pairs(20, "b")], settings(seed=seed))]

    assert rows(1) == rows(1) != rows(2)


def test_a_batch_has_rows_of_one_set_and_shares_follow_the_weights() -> None:
    sets = [of_pairs(80), of_pairs(16, "b")]
    by_rows = Counter(batch.set for batch in plan(sets, settings()))
    assert by_rows == {0: 10, 1: 2}
    weighted = plan(sets, settings(weights=(1.0, 3.0)))
    assert Counter(batch.set for batch in weighted) == {0: 3, 1: 9}
    small = np.concatenate([batch.rows for batch in weighted if batch.set == 1])
    assert set(Counter(small.tolist()).values()) <= {4, 5}  # 9 batches of 8 of its 16 rows


def test_steps_end_a_run_wherever_they_fall() -> None:
    for steps in (1, 5, 30):
        assert len(plan([of_pairs(50)], settings(steps=steps))) == steps


def test_a_row_that_is_left_alone_joins_the_batch_before() -> None:
    assert [len(batch.rows) for batch in plan([of_pairs(17)], settings())] in ([8, 9], [9, 8])
    assert sorted(len(batch.rows) for batch in plan([of_pairs(17, columns=3)], settings())) == [1, 8, 8]


def test_several_processes_can_divide_each_batch() -> None:
    found = plan([of_pairs(51)], settings(), processes=4)
    assert {len(batch.rows) % 4 for batch in found} == {0}
    with pytest.raises(InputError, match="a batch of 8 rows cannot be shared by 3 processes"):
        plan([of_pairs(51)], settings(), processes=3)


def test_a_text_with_a_label_is_paired_with_another_of_it() -> None:
    labels = list("aaabbbbbbcccddz")
    found = plan([of_labels(labels)], settings(epochs=6))
    partners: dict[int, set[int]] = {}
    for batch in found:
        assert batch.partners is not None
        for row, partner in zip(batch.rows.tolist(), batch.partners.tolist(), strict=True):
            assert row != partner
            assert labels[row] == labels[partner]
            partners.setdefault(row, set()).add(partner)
    assert sorted(partners) == list(range(14))  # the last one is alone
    assert len(partners[3]) > 1


@pytest.mark.parametrize(
    ("sets", "choices", "message"),
    [
        ([of_pairs(50)], {"batch": 1}, "pairs: a batch of one row has nothing to compare it with"),
        ([of_pairs(1)], {}, "pairs: 1 rows are no batch from which to learn"),
        ([of_pairs(50)], {"weights": (1.0, 2.0)}, "2 weights for 1 data sets"),
    ],
)
def test_what_makes_no_batch_is_refused(sets: list[TrainingSet], choices: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(sets, settings(**choices))


def test_a_triplet_alone_is_a_batch() -> None:
    assert len(plan([of_pairs(3, columns=3)], settings(batch=1))) == 3
