"""What PostgreSQL does when there is much: its HNSW index, rare words first, little shared memory."""

from typing import Any

import numpy as np
import pytest
from storing import MADE, Postgres, item, unit

from gemlet import stores
from gemlet.errors import StoreError
from gemlet.store import Filter
from gemlet.stores import Item, address_of
from gemlet.stores.pgvector import PgStore
from gemlet.stores.terms import AVERAGE, rarity, tokens

ROWS = 1500


@pytest.fixture
def small_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is done as if there were millions, and the planner may not sort instead of asking the index."""
    monkeypatch.setattr("gemlet.stores.pgvector.FEW", 10)
    monkeypatch.setattr("gemlet.stores.pgvector.INDEXED_FROM", 100)
    monkeypatch.setenv("PGOPTIONS", "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off")


@pytest.mark.parametrize("first", ["halfvec", "bit"])
@pytest.mark.usefixtures("small_is_much")
def test_the_index_finds_nearly_all_of_the_nearest(postgres: Postgres, first: str) -> None:
    url = postgres.url(index=first)
    vectors, queries = unit(ROWS, 1), unit(20, 2)
    cosines = queries @ vectors.T
    even = np.arange(0, ROWS, 2)
    with stores.open(url) as store:
        store.prepare(MADE, "tiny")
        store.put(Item.row(f"{'even' if i % 2 == 0 else 'odd'}/{i}", f"row {i}", vectors[i]) for i in range(ROWS))
        store.finish()
        store.finish()  # an index that is there stays
        found = found_even = 0
        for query, row in zip(queries, cosines, strict=True):
            best = {f"row {i}" for i in np.argsort(-row)[:10]}
            best_even = {f"row {even[i]}" for i in np.argsort(-row[even])[:10]}
            rows = store.nearest(query, 10)
            assert [score for _, score in rows] == sorted((score for _, score in rows), reverse=True)
            found += len(best & texts(store, rows))
            found_even += len(best_even & texts(store, store.nearest(query, 10, Filter("even/"))))
        assert found >= 195
        assert found_even >= 195
        store.put([Item.row("even/0", "row changed", queries[0])])  # the index is kept up to date
        assert texts(store, store.nearest(queries[0], 1)) == {"row changed"}
    schema = address_of(url).name
    scans = (
        f"SELECT idx_scan FROM pg_stat_user_indexes WHERE schemaname = '{schema}' AND indexrelname LIKE '%embedding'"
    )
    assert postgres.ask(scans)[0][0] >= len(queries)


def texts(store: Any, rows: list[tuple[int, float]]) -> set[str]:
    return {passage.text for passage in store.passages([row[0] for row in rows])}


def test_few_have_no_index(postgres: Postgres) -> None:
    url = postgres.url()
    with stores.open(url) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "apple")])
        store.finish()
    schema = address_of(url).name
    assert postgres.ask(f"SELECT 1 FROM pg_indexes WHERE schemaname = '{schema}' AND indexdef LIKE '%hnsw%'") == []


def test_without_shared_memory_one_worker_builds_the_index(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemlet.stores.pgvector.INDEXED_FROM", 1)
    tried = []

    def build(store: PgStore, passages: int, workers: int) -> None:
        tried.append(workers)
        if workers:
            raise StoreError("no room left: could not resize shared memory segment")

    monkeypatch.setattr(PgStore, "_build", build)
    with stores.open(postgres.url()) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "apple")])
        store.finish()
    assert tried == [2, 0]


@pytest.fixture
def many(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Any:
    """400 passages that say "the", 10 that say "rare", as if they were very many."""
    monkeypatch.setattr("gemlet.stores.pgwords.LARGE", 100)
    with stores.open(postgres.url()) as store:
        store.prepare(MADE, "tiny")
        vectors = unit(400)
        store.put(Item.row(f"{i}", f"the word{i} {'rare' if i % 40 == 0 else 'text'}", vectors[i]) for i in range(400))
        store.finish()
        yield store


def test_in_a_large_store_a_passage_needs_a_rarer_word(many: Any) -> None:
    rows = many.keyword("the rare", 99)
    assert len(rows) == 10
    assert texts(many, many.keyword("the word17", 99)) == {"the word17 text"}
    assert len(many.keyword("the", 999)) == 400
    assert many.keyword("the unknown", 99) == []  # all would be found by a word that tells nothing


def test_scores_are_those_of_bm25_where_a_word_is_once(many: Any) -> None:
    """Of Robertson and Zaragoza's formula, each passage having three words, the average."""
    [(_, score)] = many.keyword("word17", 1)
    assert abs(score - rarity(1, 400)) < 1e-4
    rows = many.keyword("rare", 99)
    assert all(abs(score - rarity(10, 400)) < 1e-4 for _, score in rows)


def test_words_have_no_quotes() -> None:
    assert tokens("it's \\ 'quoted' — naïve_name ½ x²") == ["it", "s", "quoted", "naive", "name", "1", "2", "x2"]
    assert tokens("") == []
    assert AVERAGE > 0
