"""What every store does alike: the embedded one, PostgreSQL with pgvector, Qdrant."""

import threading
from pathlib import PurePath

import numpy as np
import pytest
from storing import DIM, MADE, Postgres, item, unit

from gemlet import stores
from gemlet.errors import GemletError, InputError, StoreError, StoreMismatch, StoreNotFound
from gemlet.store import Filter
from gemlet.stores import Item, Writable


def paths_of(store: Writable, rows: list[tuple[int, float]]) -> list[str]:
    return [passage.paths[0] for passage in store.passages([row[0] for row in rows])]


def texts_of(store: Writable, rows: list[tuple[int, float]]) -> list[str]:
    return [passage.text for passage in store.passages([row[0] for row in rows])]


def test_what_goes_in_comes_out(store: Writable) -> None:
    new = item("/d/a.py", "def one(): pass", "def two(): pass", kind="code", language="python")
    store.put([new])
    assert store.size() == 2
    assert store.counts() == {"files": 1, "passages": 2}
    assert store.files() == [new.file]
    found = store.passages_of("/d/a.py")
    assert [(p.text, p.title, p.first_line, p.last_line, p.page, p.ord) for p in found] == [
        ("def one(): pass", "T", 1, 2, None, 0),
        ("def two(): pass", "T", 3, 4, None, 1),
    ]
    assert {(p.kind, p.language, p.paths) for p in found} == {("code", "python", ("/d/a.py",))}
    assert len({p.document_id for p in found}) == 1
    assert store.passages([found[1].id, 99, found[0].id]) == [found[1], found[0]]
    scales, codes = store.vectors([p.id for p in reversed(found)])
    assert np.abs(codes * scales[:, None] - new.vectors[::-1]).max() < 0.01
    with pytest.raises(KeyError):
        store.vectors([99])
    assert store.passages_of("/d/b") == []
    assert store.passages([]) == []


def test_an_empty_store_answers(store: Writable) -> None:
    assert store.size() == 0
    assert store.files() == []
    assert store.nearest(unit(1)[0], 3) == []
    assert store.keyword("word", 3) == []
    assert store.remove(["/d/a"]) == 0
    store.put([])
    store.finish()


def test_the_nearest_are_those_of_brute_force(store: Writable) -> None:
    vectors = unit(40, 1)
    store.put(Item.row(f"rows:{i}", f"row {i}", vectors[i]) for i in range(40))
    query = unit(1, 2)[0]
    cosines = vectors @ query
    expected = [f"rows:{i}" for i in np.argsort(-cosines)[:7]]
    for exact in (False, True):
        rows = store.nearest(query, 7, exact=exact)
        assert paths_of(store, rows) == expected
        assert np.abs(np.sort(-cosines)[:7] + [row[1] for row in rows]).max() < 0.01
    assert len(store.nearest(query, 100)) == 40


def test_a_file_is_replaced_whole(store: Writable) -> None:
    store.put([item("/d/a", "old apple", "old pear", "old plum"), item("/d/b", "kept fig")])
    store.put([item("/d/a", "new cherry", seed=5)])
    assert [p.text for p in store.passages_of("/d/a")] == ["new cherry"]
    assert store.size() == 2
    assert [file.passages for file in store.files()] == [1, 1]
    assert store.keyword("apple pear plum old", 9) == []
    assert texts_of(store, store.keyword("cherry", 9)) == ["new cherry"]
    assert len(store.nearest(unit(1)[0], 9)) == 2
    store.put([item("/d/a", "again one", "again two", seed=6), item("/d/a", "last", seed=7)])  # twice in one call
    assert [p.text for p in store.passages_of("/d/a")] == ["last"]


def test_a_file_is_removed_whole(store: Writable) -> None:
    store.put([item("/d/a", "apple", "pear"), item("/d/b", "fig")])
    assert store.remove(["/d/a", "/d/unknown"]) == 1
    assert [file.path for file in store.files()] == ["/d/b"]
    assert store.size() == 1
    assert store.keyword("apple pear", 9) == []
    assert texts_of(store, store.nearest(unit(1)[0], 9)) == ["fig"]
    assert store.remove(["/d/a"]) == 0


def test_two_files_that_hold_the_same_are_one_document(store: Writable) -> None:
    one, two = item("/d/one", "the same", seed=3), item("/d/two", "the same", seed=3)
    store.put([one, two, item("/d/three", "another")])
    found = store.passages([row[0] for row in store.keyword("same", 9)])
    assert {p.document_id for p in found} == {found[0].document_id}
    assert {p.paths for p in found} == {("/d/one", "/d/two")}
    store.remove(["/d/one"])
    assert [p.paths for p in store.passages([row[0] for row in store.keyword("same", 9)])] == [("/d/two",)]


def test_files_of_a_folder(store: Writable) -> None:
    store.put([item("/d/a/x", "one"), item("/d/a.txt", "two"), item("/d/a", "three"), item("/e", "four")])
    assert [file.path for file in store.files("/d/a")] == ["/d/a", "/d/a/x"]
    assert [file.path for file in store.files("/d/")] == ["/d/a", "/d/a.txt", "/d/a/x"]
    assert [file.path for file in store.files()] == ["/d/a", "/d/a.txt", "/d/a/x", "/e"]


def test_a_file_may_be_empty(store: Writable) -> None:
    store.put([item("/d/empty"), item("/d/a", "apple")])
    assert [(file.path, file.passages) for file in store.files()] == [("/d/a", 1), ("/d/empty", 0)]
    assert store.passages_of("/d/empty") == []
    assert store.remove(["/d/empty"]) == 1


FILES = {
    "/srv/notes/plan.md": ("markdown", None, 100.0),
    "/srv/notes/old plan.md": ("markdown", None, 50.0),
    "/srv/notes/deep/er/plan.txt": ("text", None, 200.0),
    "/srv/code/read.py": ("code", "python", 300.0),
    "/srv/code/read.c": ("code", "c", 301.0),
    "/srv/code/a+b (1).py": ("code", "python", 302.5),
    "/srv/Ünï/naïve.md": ("markdown", None, 400.0),
    "/srv/[draft].md": ("markdown", None, 500.0),
}
FILTERS = [
    Filter("*.md"),
    Filter("notes"),
    Filter("notes/"),
    Filter("code/*.py"),
    Filter("ann/**/plan.*"),
    Filter("/srv/notes/plan.md"),
    Filter("plan.??"),
    Filter("old plan.md"),
    Filter("a+b (1).py"),
    Filter("Ünï/"),
    Filter("\\[draft\\].md"),
    Filter("read.[cp]*"),
    Filter("no such"),
    Filter("*"),
    Filter(kinds=("code",)),
    Filter(kinds=("code", "text")),
    Filter(languages=("python",)),
    Filter(after=200.0),
    Filter(before=100.0),
    Filter(after=100.0, before=302.5),
    Filter("*.py", ("code",), ("python",), 301.0, 400.0),
    Filter("*.md", ("code",)),
]


def expected(wanted: Filter) -> set[str]:
    """Which of FILES pass, by gemlet's own matcher and plain comparisons."""
    from gemlet.store.filters import path_matcher

    matches = path_matcher(wanted.path_glob) if wanted.path_glob else lambda path: True
    return {
        path
        for path, (kind, language, mtime) in FILES.items()
        if matches(path.encode())
        and (not wanted.kinds or kind in wanted.kinds)
        and (not wanted.languages or language in wanted.languages)
        and (wanted.after is None or mtime >= wanted.after)
        and (wanted.before is None or mtime < wanted.before)
    }


def test_filters_are_those_of_the_index(store: Writable) -> None:
    store.put(
        item(path, f"word and {PurePath(path).stem}", kind=kind, language=language, mtime=mtime)
        for path, (kind, language, mtime) in FILES.items()
    )
    sizes = set()
    for wanted in FILTERS:
        passing = expected(wanted)
        sizes.add(len(passing))
        assert set(paths_of(store, store.nearest(unit(1)[0], 99, wanted))) == passing, wanted
        assert set(paths_of(store, store.nearest(unit(1)[0], 99, wanted, exact=True))) == passing, wanted
        assert set(paths_of(store, store.keyword("word", 99, wanted))) == passing, wanted
        assert len(store.nearest(unit(1)[0], 1, wanted)) == min(1, len(passing))
    assert len(sizes) > 4
    with pytest.raises(InputError, match="no pattern"):
        store.nearest(unit(1)[0], 1, Filter("\\"))


WORDS = {
    "/w/1": "The landlord repairs the roof of the house in March.",
    "/w/2": "A naïve café owner, Zoë, paid 3.11 euros for read_document in Python.",
    "/w/3": "भारत की राजधानी नई दिल्ली है।",
    "/w/4": "東京は日本の首都です。",
    "/w/5": "СЪЕШЬ ещё этих мягких французских булок",
    "/w/6": "roof roof roof",
    "/w/7": "quote ' backslash \\ percent %s colon :* amp & | ! null \0 end",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("landlord", {"/w/1"}),
        ("LANDLORD!", {"/w/1"}),
        ("roof", {"/w/1", "/w/6"}),
        ("naive CAFE zoe", {"/w/2"}),
        ("read_document", {"/w/2"}),
        ("3.11", {"/w/2"}),
        ("दिल्ली", {"/w/3"}),
        ("首都", {"/w/4"}),
        ("съешь", {"/w/5"}),
        ("' \\ %s :* & | !", set()),
        ("backslash'", {"/w/7"}),
        ("percent %s", {"/w/7"}),
        ("colon:* & quote", {"/w/7"}),
        ("end", {"/w/7"}),
        ("xylophone", set()),
        ("", set()),
    ],
)
def test_words_are_found(words: Writable, query: str, found: set[str]) -> None:
    rows = words.keyword(query, 9)
    assert set(paths_of(words, rows)) >= found
    assert set(paths_of(words, rows)[: len(found)]) == found
    assert all(score > 0 for _, score in rows)
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)


@pytest.fixture
def words(store: Writable) -> Writable:
    store.put(item(path, text) for path, text in WORDS.items())
    return store


def test_rare_words_weigh_more_and_a_word_that_is_there_often_too(words: Writable) -> None:
    assert paths_of(words, words.keyword("roof landlord", 9)) == ["/w/1", "/w/6"]
    assert paths_of(words, words.keyword("roof", 9)) == ["/w/6", "/w/1"]
    assert len(words.keyword("roof", 1)) == 1
    assert words.keyword("roof", 0) == []


def test_vectors_made_otherwise_are_refused(store: Writable, url: str) -> None:
    store.prepare(MADE, "another name of the same model")
    assert store.meta("model") == "tiny"
    for key, value in {"model": "b" * 64, "quantization": "f32", "dim": 32, "prompt": "p", "chunker": "2"}.items():
        with pytest.raises(StoreMismatch, match=key):
            store.prepare({**MADE, key: value}, "tiny")
    short = Item(item("/d/a", "apple").file, item("/d/a", "apple").passages, unit(1, dim=32))
    with pytest.raises(InputError, match="vectors of 1x32"):
        store.put([short])
    with pytest.raises(InputError, match="32"):
        store.nearest(unit(1, dim=32)[0], 1)
    assert store.size() == 0


def test_what_is_not_there_is_said_so_with_a_cure(url: str) -> None:
    with stores.open(url) as store:
        assert store.meta("fingerprint") is None
        for ask in (
            store.size,
            store.counts,
            store.files,
            lambda: store.keyword("a", 1),
            lambda: store.passages_of("/a"),
        ):
            with pytest.raises(StoreNotFound, match="gemlet index"):
                ask()
        with pytest.raises(GemletError):
            store.put([item("/d/a", "apple")])


def test_a_name_that_is_no_text_is_refused(store: Writable) -> None:
    for name in ("/d/\udcff", "/d/nul\0"):
        with pytest.raises(InputError, match="UTF-8"):
            store.put([item("/d/a", "pear"), item(name, "apple")])


def answers(store: Writable) -> list[object]:
    rows = [*store.nearest(unit(1)[0], 9), *store.keyword("pear", 9)]
    return [store.files(), store.passages_of("/d/a"), [(passage, round(score, 5)) for passage, score in rows]]


def test_a_restart_loses_nothing(url: str, kind: str, request: pytest.FixtureRequest) -> None:
    with stores.open(url) as store:
        store.prepare(MADE, "tiny")
        store.put([item("/d/a", "apple", "pear"), item("/d/b", "fig")])
        before = answers(store)
    if kind.startswith("pgvector"):
        server: Postgres = request.getfixturevalue("postgres")
        server.control("-m", "immediate", "restart")  # as if its power had failed
    with stores.open(url) as store:
        assert store.meta("dim") == DIM
        assert answers(store) == before
        store.put([item("/d/c", "plum")])
        assert store.size() == 4
        store.drop()
        assert store.meta("dim") is None
        store.prepare({**MADE, "dim": 32}, "tiny")
        assert (store.meta("dim"), store.size()) == (32, 0)


def test_several_writers_at_once(store: Writable, url: str, kind: str) -> None:
    """Each writes files of its own and one that all write; a folder of Qdrant's is one process's, and one store's."""
    own = kind != "qdrant-folder"
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            mine = stores.open(url) if own else store
            mine.prepare(MADE, "tiny")
            for turn in range(4):
                mine.put([item(f"/w{number}/{turn}", f"own {number}", "more"), item("/all", f"from w{number}", "two")])
                mine.remove([f"/w{number}/{turn - 1}"])
            if own:
                mine.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [(file.path, file.passages) for file in store.files()] == [
        ("/all", 2), ("/w0/3", 2), ("/w1/3", 2), ("/w2/3", 2),
    ]  # fmt: skip
    assert store.size() == 8
    assert [p.text.startswith("from w") for p in store.passages_of("/all")] == [True, False]


def test_a_reader_in_another_thread_goes_on_while_a_writer_writes(store: Writable) -> None:
    store.put([item("/kept", "anchor")])
    done = threading.Event()
    seen: list[object] = []

    def read() -> None:
        while not done.is_set():
            try:
                seen.append(texts_of(store, store.keyword("anchor", 1)))
            except GemletError as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(5):
        store.put([item(f"/d/{turn}", "other", "words")])
    done.set()
    reader.join()
    assert seen
    assert all(texts == ["anchor"] for texts in seen)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its client leaves the lock open
@pytest.mark.parametrize("kind", ["qdrant-folder"])  # which has one user at a time; every other store has many
def test_a_qdrant_folder_in_use_says_so(store: Writable, url: str) -> None:
    with pytest.raises(StoreError, match="another process uses"):
        stores.open(url)
