"""A search gives what brute force gives; words find what vectors miss; filters come first; the unlikely is no hit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gemlet import Embedder
from gemlet.errors import InputError, StoreNotFound, UnknownPrompt
from gemlet.index import Index
from gemlet.relevance import WORTH, word_share
from gemlet.search import Filter, Results, search
from gemlet.search.candidates import by_word

NOTES = {
    "notes/red.md": "# Planets\n\nMars is red. It is cold.\n\n# Moons\n\nPhobos is near.",
    "notes/blue.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/copy.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/late.txt": "Nothing here.\nThen the word zyzzyva stands\nin the second line.",
    "code/read.py": "def read_lines(path):\n    with open(path) as file:\n        return list(file)\n",
    "code/main.c": "int main(void) {\n    return zyzzyva;\n}\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("files")
    for name, text in NOTES.items():
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def index(folder: Path, tiny: Embedder) -> Iterator[Index]:
    with Index(folder.parent / "search-index" / "index.db", model=tiny) as opened:
        opened.update([folder])
        yield opened


def find(index: Index, query: str = "", **options: object) -> Results:
    return search(index, query, **{"min_probability": 0, **options})


def names(results: Results) -> list[str]:
    return [Path(hit.path).name for hit in results.hits]


def every_cosine(index: Index, tiny: Embedder, query: str) -> dict[int, float]:
    """Of each passage, by brute force over what is stored."""
    vector = tiny.encode_query(query)
    ids = [p.id for file in index.store.files() for p in index.store.passages_of(file.path)]
    scales, codes = index.store.vectors(ids)
    return dict(zip(ids, ((codes * scales[:, None]) @ vector).tolist(), strict=True))


def test_semantic_search_is_brute_force(index: Index, tiny: Embedder) -> None:
    cosines = every_cosine(index, tiny, "a red planet")
    hits = find(index, "a red planet", mode="semantic", per_document=9).hits
    assert [hit.passage_id for hit in hits] == sorted(cosines, key=lambda i: -cosines[i])
    assert [hit.cosine for hit in hits] == pytest.approx([cosines[hit.passage_id] for hit in hits], abs=2e-3)
    assert [hit.semantic_rank for hit in hits] == list(range(1, len(hits) + 1))
    assert {hit.bm25 for hit in hits} == {None}


def test_keyword_search_is_the_stores(index: Index) -> None:
    expected = index.store.keyword("sea ships", 10)
    hits = find(index, "sea ships", mode="keyword").hits
    assert [(hit.passage_id, hit.bm25) for hit in hits] == expected
    assert hits[0].words == ("sea", "ships")
    assert (hits[0].probability, hits[0].cosine) == (None, None)


def test_keyword_search_needs_no_model(index: Index) -> None:
    with Index(index.path, model="there/is/no/such/model") as without:
        assert names(find(without, "zyzzyva", mode="keyword")) == ["main.c", "late.txt"]


def test_both_are_put_in_one_order(index: Index, tiny: Embedder) -> None:
    cosines = every_cosine(index, tiny, "zyzzyva sea")
    bm25 = dict(index.store.keyword("zyzzyva sea", 10))
    shares = {i: float(word_share(np.array([b], np.float32), 2, len(cosines))[0]) for i, b in bm25.items()}
    scores = {i: cosine + WORTH * shares.get(i, 0) for i, cosine in cosines.items()}
    hits = find(index, "zyzzyva sea", per_document=9).hits
    assert [hit.passage_id for hit in hits] == sorted(scores, key=lambda i: -scores[i])
    assert [hit.score for hit in hits] == pytest.approx([scores[hit.passage_id] for hit in hits], abs=2e-3)
    assert all(hit.probability is not None and 0 <= hit.probability <= 1 for hit in hits)
    chances = [hit.probability for hit in hits]
    assert chances == sorted(chances, reverse=True)


def test_a_passage_found_by_its_words_alone_has_its_cosine(
    index: Index, tiny: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gemlet.search.BY_VECTOR", 1)
    cosines = every_cosine(index, tiny, "zyzzyva")
    hits = find(index, "zyzzyva", k=1).hits + find(index, "zyzzyva", k=10).hits
    for hit in hits:
        assert hit.cosine == pytest.approx(cosines[hit.passage_id], abs=2e-3)


def test_filters_come_before_the_first_k(index: Index) -> None:
    assert names(find(index, "zyzzyva", k=1, wanted=Filter("*.txt"))) == ["late.txt"]
    assert names(find(index, "sea", wanted=Filter("code/"), mode="semantic", k=9)) != []
    assert set(names(find(index, "sea", wanted=Filter("code/"), k=9))) == {"read.py", "main.c"}
    assert names(find(index, "sea", wanted=Filter(languages=("c",)))) == ["main.c"]
    assert names(find(index, "sea", wanted=Filter("*.none"))) == []


def test_a_document_with_two_files_is_one_hit(index: Index, folder: Path) -> None:
    hit = find(index, "sea ships", mode="keyword").hits[0]
    assert hit.paths == (str(folder / "notes/blue.md"), str(folder / "notes/copy.md"))
    assert hit.path == hit.paths[0]


def test_one_passage_of_a_document_unless_more_are_asked_for(index: Index) -> None:
    one = names(find(index, "planets moons", k=20))
    more = names(find(index, "planets moons", k=20, per_document=5))
    assert len(one) == len(set(one)) == 5
    assert len(more) >= len(one)


def test_k_hits_at_most(index: Index) -> None:
    assert len(find(index, "sea", k=2).hits) == 2


def test_the_line_is_that_of_the_sentence(index: Index) -> None:
    hit = next(hit for hit in find(index, "zyzzyva", mode="keyword").hits if hit.path.endswith(".txt"))
    assert (hit.line, hit.first_line, hit.last_line) == (2, 1, 3) or hit.line == 1  # one sentence over two lines
    begin, end = hit.marked
    assert "zyzzyva" in hit.snippet[begin:end]
    code = next(hit for hit in find(index, "zyzzyva", mode="keyword").hits if hit.path.endswith(".c"))
    assert code.line == 2
    assert code.snippet[slice(*code.marked)] == "return zyzzyva;"


def test_what_is_unlikely_is_no_hit_but_the_nearest(index: Index) -> None:
    none = search(index, "xylophone", min_probability=1.0)
    assert none.hits == []
    assert [hit.path for hit in none.nearest] == [hit.path for hit in find(index, "xylophone", k=3).hits]
    assert len(search(index, "xylophone", k=1, min_probability=1.0).nearest) == 1
    assert none.passages == index.store.counts()["passages"]


def test_a_passage_with_every_word_is_a_hit_however_unlikely(index: Index) -> None:
    assert set(names(search(index, "zyzzyva", min_probability=1.0))) == {"late.txt", "main.c"}
    assert names(search(index, "zyzzyva xylophone", min_probability=1.0)) == []


def test_more_like_a_file_leaves_the_file_out(index: Index, folder: Path) -> None:
    hits = find(index, like=folder / "notes/blue.md").hits
    assert {"blue.md", "copy.md"}.isdisjoint(Path(hit.path).name for hit in hits)
    assert len(hits) == 4
    assert {hit.probability for hit in hits} == {None}


def test_a_file_outside_of_the_index_is_read(index: Index, folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin.md"
    twin.write_text(NOTES["notes/blue.md"] + "\n\nMore.", encoding="utf-8")
    hits = find(index, like=twin).hits
    assert hits[0].path == str(folder / "notes/blue.md")
    assert hits[0].cosine == pytest.approx(max(hit.cosine or 0 for hit in hits))


@pytest.mark.parametrize(
    ("query", "options", "said"),
    [
        ("", {}, "the query is empty"),
        ("  \n", {}, "the query is empty"),
        ("x", {"k": 0}, "must be 1 or more"),
        ("x", {"per_document": 0}, "must be 1 or more"),
        ("x", {"mode": "magic"}, "available: hybrid, semantic, keyword"),
        ("x", {"like": "a"}, "takes the place of a query"),
        ("", {"like": "a", "mode": "keyword"}, "goes by vectors"),
        ("", {"like": "no/such/file"}, "there is no file no/such/file"),
    ],
)
def test_a_mistake_is_named(index: Index, query: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        find(index, query, **options)


def test_an_unknown_task_is_named(index: Index) -> None:
    with pytest.raises(UnknownPrompt, match="question answering"):
        find(index, "x", task="riddles")


def test_an_index_that_is_not_there_is_named(tmp_path: Path, tiny: Embedder) -> None:
    with pytest.raises(StoreNotFound, match="gemlet index"):
        search(Index(tmp_path / "none.db", model=tiny), "x")


@pytest.mark.parametrize(
    "query", ['"', "AND OR NOT", "a NEAR b", "title:x", "*", "-", "\0", "🦋", "'; DROP TABLE", "(((", "x " * 900]
)
def test_no_query_breaks_the_search(index: Index, query: str) -> None:
    for mode in ("hybrid", "semantic", "keyword"):
        find(index, query, mode=mode)


def test_an_empty_index_has_nothing(tmp_path: Path, tiny: Embedder) -> None:
    (tmp_path / "empty").mkdir()
    with Index(tmp_path / "index.db", model=tiny) as index:
        index.update([tmp_path / "empty"])
        for mode in ("hybrid", "semantic", "keyword"):
            results = find(index, "x", mode=mode)
            assert (results.hits, results.nearest, results.passages) == ([], [], 0)


def test_a_passage_that_leaves_meanwhile_is_left_out(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    real = by_word
    monkeypatch.setattr(
        "gemlet.search.candidates.by_word",
        lambda *arguments: (pool := real(*arguments), pool.keyword.append(10**9), pool.bm25.update({10**9: 99.0}))[0],
    )
    assert find(index, "sea", mode="keyword").hits
    assert find(index, "sea").hits


def test_the_bits_do_not_depend_on_threads(index: Index, tiny_checkpoint: Path) -> None:
    one = find(index, "a red planet")
    with Index(index.path, model=tiny_checkpoint, threads=1) as other:
        again = find(other, "a red planet")
    assert np.array_equal([hit.score for hit in one.hits], [hit.score for hit in again.hits])
    assert names(one) == names(again)
