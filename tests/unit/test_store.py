"""The store: what goes in comes out, whole or not at all; words in every script; filters; damage is seen."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from gemlet.errors import StoreCorrupt, StoreError, StoreNotFound
from gemlet.folders import Stamp
from gemlet.passages import Passage
from gemlet.store import Entry, Filter, Store, StoreWriter
from gemlet.store.words import beginnings, match_terms, words

DIM = 8


def passage(text: str, title: str | None = None, line: int = 1) -> Passage:
    return Passage(text, title, line, line + text.count("\n"), None)


def entry(name: str, *passages: Passage, kind: str = "text", language: str | None = None) -> Entry:
    rng = np.random.default_rng(len(name))
    codes = rng.integers(-127, 128, (len(passages), DIM)).astype(np.int8)
    return Entry(name.encode(), kind, language, None, passages, rng.random(len(passages)).astype(np.float32), codes)


def stamp(path: str, mtime: float = 1000.0) -> Stamp:
    return Stamp(path.encode(), 5, int(mtime * 1e9), 7)


def put(writer: StoreWriter, path: str, new: Entry, mtime: float = 1000.0) -> int:
    with writer.transaction():
        document = writer.add_document(new)
        writer.link(stamp(path, mtime), document)
    return document


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[StoreWriter]:
    with StoreWriter(tmp_path / "index.db") as opened:
        yield opened


def test_what_goes_in_comes_out(writer: StoreWriter) -> None:
    new = entry("a", passage("one", "T"), passage("two", "T > U", 3), kind="code", language="python")
    put(writer, "/d/a.py", new)
    with Store(writer.path) as store:
        found = store.passages_of("/d/a.py")
        assert [(p.text, p.title, p.first_line, p.ord) for p in found] == [("one", "T", 1, 0), ("two", "T > U", 3, 1)]
        assert {(p.kind, p.language, p.paths) for p in found} == {("code", "python", ("/d/a.py",))}
        assert store.passages([found[1].id, 99, found[0].id]) == [found[1], found[0]]
        scales, codes = store.vectors([p.id for p in reversed(found)])
        assert (scales == new.scales[::-1]).all()
        assert (codes == new.codes[::-1]).all()
        assert store.counts() == {"files": 1, "documents": 1, "passages": 2, "problems": 0}


def test_a_transaction_that_fails_leaves_nothing(writer: StoreWriter) -> None:
    before = writer.generation
    with suppress(ZeroDivisionError), writer.transaction():
        writer.link(stamp("/d/a"), writer.add_document(entry("a", passage("one"))))
        raise ZeroDivisionError
    assert writer.counts() == {"files": 0, "documents": 0, "passages": 0, "problems": 0}
    assert writer.generation == before
    assert writer.keyword("one", 5) == []


def test_the_generation_tells_of_every_change_and_of_nothing_else(writer: StoreWriter) -> None:
    seen = [writer.generation]
    put(writer, "/d/a", entry("a", passage("one")))
    seen.append(writer.generation)
    with writer.transaction():
        writer.set_meta("model", "m")
        writer.note_problem(stamp("/d/b"), "is no text")
    assert writer.generation == seen[-1]
    with writer.transaction():
        writer.unlink([b"/d/a"])
    seen.append(writer.generation)
    with writer.transaction():
        writer.drop_document(writer.orphans()[0])
    seen.append(writer.generation)
    assert len(set(seen)) == 4


def test_two_indexes_never_have_the_same_generation(tmp_path: Path) -> None:
    generations = set()
    for name in "abc":
        with StoreWriter(tmp_path / name) as one:
            generations.add(one.generation)
    assert len(generations) == 3


def test_a_document_without_a_file_is_invisible_at_once_and_comes_back_with_one(writer: StoreWriter) -> None:
    document = put(writer, "/d/a", entry("a", passage("apple")))
    ids = [i for i, _ in writer.keyword("apple", 5)]
    with writer.transaction():
        writer.unlink([b"/d/a"])
    assert writer.keyword("apple", 5) == []
    assert writer.passages(ids) == []
    with writer.transaction():
        writer.link(stamp("/d/b"), document)
    assert [p.paths for p in writer.passages(ids)] == [("/d/b",)]
    with writer.transaction():
        writer.unlink([b"/d/b"])
        for orphan in writer.orphans():
            writer.drop_document(orphan)
    assert writer.counts()["passages"] == 0
    assert writer._rows("SELECT count(*) FROM vectors")[0][0] == 0
    put(writer, "/d/c", entry("c", passage("pear")))
    assert writer.keyword("apple", 5) == []
    assert len(writer.keyword("pear", 5)) == 1


def test_one_document_of_two_files_is_stored_once_and_names_both(writer: StoreWriter) -> None:
    document = put(writer, "/d/b", entry("a", passage("apple")))
    with writer.transaction():
        writer.link(stamp("/d/a"), document)
    (hit,) = writer.keyword("apple", 5)
    assert writer.passages([hit[0]])[0].paths == ("/d/a", "/d/b")
    assert writer.other_files(document, b"/d/a") == [b"/d/b"]


def test_an_equal_passage_has_a_known_vector_and_another_title_has_not(writer: StoreWriter) -> None:
    new = entry("a", passage("one", "T"), passage("two"))
    put(writer, "/d/a", new)
    known = writer.known_vectors([passage("two"), passage("one"), passage("one", "T", 9), passage("one", "")])
    assert known[1] is None
    assert known[3] is None
    assert known[0] == (float(new.scales[1]), new.codes[1].tobytes())
    assert known[2] == (float(new.scales[0]), new.codes[0].tobytes())


def test_filters_keep_what_they_say(writer: StoreWriter) -> None:
    put(writer, "/d/src/a.py", entry("a", passage("word a"), kind="code", language="python"), 100)
    put(writer, "/d/src/deep/b.c", entry("b", passage("word b"), kind="code", language="c"), 200)
    put(writer, "/d/notes/c.md", entry("c", passage("word c"), kind="markdown"), 300)
    put(writer, "/d/[odd]\n.txt", entry("dd", passage("word d")), 400)

    def kept(**wanted: object) -> str:
        chosen = Filter(**wanted)
        by_word = "".join(
            sorted(p.text[-1] for p in writer.passages([i for i, _ in writer.keyword("word", 9, chosen)]))
        )
        allowed = writer.allowed(chosen)
        by_id = "abcd" if allowed is None else "".join(p.text[-1] for p in writer.passages(allowed))
        assert by_word == by_id
        return by_word

    assert kept() == "abcd"
    assert kept(kinds=("code",)) == "ab"
    assert kept(languages=("python", "rust")) == "a"
    assert kept(after=200) == "bcd"
    assert kept(before=200) == "a"
    assert kept(after=200, before=300, kinds=("code",)) == "b"
    for glob, those in {
        "*.py": "a", "src/*": "ab", "src/*.c": "", "src/**/*.c": "b", "src": "ab", "notes/": "c", "/d/src": "ab",
        "/src": "", "*.{py}": "", "!*.py": "", "#": "", "a.py": "a", "**": "abcd",
    }.items():  # fmt: skip
        assert kept(path_glob=glob) == those, glob


def test_keyword_finds_words_of_scripts_with_and_without_spaces(writer: StoreWriter) -> None:
    texts = {
        "en": "The café's read_document() loads version 3.11 of Größe",
        "zh": "木星是太阳系中最大的行星。",
        "ja": "東京タワーの高さは三百三十三メートルです。",
        "ko": "한국어를 공부합니다",
        "th": "ดาวพฤหัสบดีเป็นดาวเคราะห์ที่ใหญ่ที่สุด",
        "hi": "हिन्दी भाषा बोली जाती है",
        "ar": "مُدَرِّس اللغة",
    }
    for name, text in texts.items():
        put(writer, f"/d/{name}", entry(name * 3, passage(text)))
    for query, name in {
        "cafe": "en", "CAFÉ": "en", "cafe\u0301": "en", "read_document": "en", "3.11": "en", "GRÖSSE": "en",
        "document read": "en", "太阳系": "zh", "行星": "zh", "星": "zh", "木": "zh", "最大的": "zh", "タワー": "ja",
        "東京": "ja", "ﾀﾜｰ": "ja", "한국어": "ko", "공부": "ko", "ดาวเคราะห์": "th", "हिन्दी": "hi", "مدرس": "ar",
        'the "version 3.11"': "en", "C'est le café": "en",
    }.items():  # fmt: skip
        found = writer.passages([i for i, _ in writer.keyword(query, 1)])
        assert [p.paths[0] for p in found] == [f"/d/{name}"], query
    for nothing in ("", "  ", "++ --", '"', '""', "zebra", "NOT", "*", "(", "a:b", "\0", "\udcff"):
        assert writer.keyword(nothing, 5) == [], nothing


def test_other_forms_of_a_word_are_found_behind_the_word_itself(writer: StoreWriter) -> None:
    texts = {"a": "Die Planeten kreisen.", "b": "Der Planet kreist.", "c": "Книга о планетах", "d": "Plan and plane."}
    for name, text in texts.items():
        put(writer, f"/d/{name}", entry(name, passage(text)))
    assert [p.paths[0] for p in writer.passages([i for i, _ in writer.keyword("Planeten", 9)])] == ["/d/a", "/d/b"]
    assert [p.paths[0] for p in writer.passages([i for i, _ in writer.keyword("планета", 9)])] == ["/d/c"]
    assert beginnings(['"planeten"', '"read document"', '"3.11"', '"plan"', '"日本"', '"भाषाएँ"']) == [
        '"planet" *', '"भाषा" *',
    ]  # fmt: skip


def test_the_pairs_of_a_query_are_among_those_of_the_text() -> None:
    text = "日本語 とภาษาไทย한국어"
    indexed = set(words(text).split())
    for term in match_terms(text):
        assert term.strip('"* ') in indexed


def test_more_matches_mean_a_higher_score_and_k_is_kept(writer: StoreWriter) -> None:
    for i in range(30):
        put(writer, f"/d/{i:02}", entry("x" * (i + 1), passage("filler " * 20 + "apple " * i)))
    best = writer.keyword("apple", 5)
    assert len(best) == 5
    assert [s for _, s in best] == sorted((s for _, s in best), reverse=True)
    assert writer.passages([best[0][0]])[0].paths == ("/d/29",)


def test_in_a_large_index_frequent_words_count_only_beside_rarer_ones(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(100):
        text = "the " * (1 + i % 3) + ("zebra " if i < 3 else "") + ("of " if i % 2 else "") + f"n{i}"
        put(writer, f"/d/{i:02}", entry("x" * (i + 1), passage(text)))
    queries = ("the zebra of", "the", "of the", "the quagga", "of quagga")
    whole = {query: writer.keyword(query, 200) for query in queries}
    monkeypatch.setattr("gemlet.store.store.LARGE", 50)
    large = {query: writer.keyword(query, 200) for query in queries}
    assert [len(hits) for hits in whole.values()] == [100, 100, 100, 100, 50]
    assert [len(hits) for hits in large.values()] == [3, 100, 50, 0, 0]
    assert [i for i, _ in large["the zebra of"]] == [i for i, _ in whole["the zebra of"][:3]]


def test_below_means_the_path_or_what_lies_in_it(writer: StoreWriter) -> None:
    for path in ("/d/a", "/d/a/b", "/d/a.txt", "/d/ab", "/e"):
        put(writer, path, entry(path, passage(path)))
    assert writer.below(b"/d/a") == [b"/d/a", b"/d/a/b"]
    assert writer.below(b"/d/a.txt") == [b"/d/a.txt"]
    assert len(writer.below(b"/d")) == 4
    assert len(writer.below(b"/")) == 5


def test_a_walk_tells_what_is_new_changed_and_gone(writer: StoreWriter) -> None:
    for path in ("/d/same", "/d/touched", "/d/gone", "/d/closed/kept"):
        put(writer, path, entry(path, passage(path)))
    young = Stamp(b"/d/young", 5, 1000, 7, settled=False)
    with writer.transaction():
        writer.link(young, writer.add_document(entry("young", passage("young"))))
        writer.note_problem(stamp("/d/broken"), "is broken")
    writer.begin_walk()
    met = [stamp("/d/same"), stamp("/d/touched", 2000), stamp("/d/new"), stamp("/d/broken"), young]
    count, changed = writer.see(met)
    assert (count, [s.path for s in changed]) == (5, [b"/d/touched", b"/d/new", b"/d/young"])
    assert writer.see(met) == (0, [])
    assert writer.unseen(b"/d", [b"/d/closed"]) == [b"/d/gone"]
    assert writer.unseen(b"/d") == [b"/d/closed/kept", b"/d/gone"]
    writer.begin_walk()
    assert len(writer.unseen(b"/d")) == 6


def test_readers_see_what_was_committed_while_another_writes(writer: StoreWriter) -> None:
    put(writer, "/d/a", entry("a", passage("apple")))
    with Store(writer.path) as store, writer.transaction():
        writer.link(stamp("/d/b"), writer.add_document(entry("b", passage("apple"))))
        assert len(store.keyword("apple", 5)) == 1


def test_threads_share_a_store(writer: StoreWriter) -> None:
    for i in range(20):
        put(writer, f"/d/{i}.txt", entry("x" * (i + 1), passage(f"apple {i}")))
    wrong: list[object] = []

    def ask(i: int) -> None:
        for _ in range(20):
            found = writer.keyword("apple", 50, Filter(path_glob=f"{i}.txt"))
            if [p.paths for p in writer.passages([k for k, _ in found])] != [(f"/d/{i}.txt",)]:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_index_another_database_and_another_version_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="make it with `gemlet index"):
        Store(tmp_path / "none.db")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t(x)")
    connection.close()
    before = other.read_bytes()
    for kind in (Store, StoreWriter):
        with pytest.raises(StoreError, match="is no gemlet index"):
            kind(other)
    assert other.read_bytes() == before
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    for kind in (Store, StoreWriter):
        with pytest.raises(StoreCorrupt, match=r"text\.db is damaged"):
            kind(text)
    StoreWriter(tmp_path / "old.db").close()
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(StoreError, match="has format 1, this gemlet reads"):
        Store(tmp_path / "old.db")


@pytest.mark.parametrize(
    ("change", "reads"),
    [
        ("UPDATE passages SET text = 'two'", "passages"),
        ("UPDATE passages SET first_line = 5", "passages"),
        ("UPDATE passages SET page = 5", "passages"),
        ("UPDATE documents SET kind = 'pdf'", "passages"),
        ("UPDATE files SET path = x'2f64'", "passages"),
        ("UPDATE files SET path = x'2f64'", "files"),
        ("UPDATE vectors SET codes = x'0000000000000000'", "vectors"),
        ("UPDATE vectors SET scale = 2.5", "vectors"),
        ("UPDATE vectors SET codes = 5", "vectors"),
    ],
)
def test_a_changed_value_is_found_out(writer: StoreWriter, change: str, reads: str) -> None:
    put(writer, "/d/a", entry("a", passage("one")))
    ids = [i for i, _ in writer.keyword("one", 1)]
    ask = {"passages": lambda: writer.passages(ids), "vectors": lambda: writer.vectors(ids), "files": writer.files}[
        reads
    ]
    ask()
    writer._do(change)
    with pytest.raises(StoreCorrupt, match="does not have its checksum"):
        ask()


def test_nothing_is_left_beside_a_closed_index(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "index.db") as writer:
        put(writer, "/d/a", entry("a", passage("one")))
    with Store(tmp_path / "index.db") as store:
        store.keyword("one", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["index.db"]


def test_in_a_large_index_words_that_are_everywhere_leave_the_rarer_ones_alone(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        put(writer, f"/{number}", entry(f"{number}", passage(f"the of {'heron' if number == 7 else 'sea'} {number}")))
    few = {row[0] for row in writer.keyword("the heron", 99)}
    assert len(few) == 12
    monkeypatch.setattr("gemlet.store.store.LARGE", 10)
    assert [row[0] for row in writer.keyword("the of heron", 99)] == [8]
    assert len(writer.keyword("the of sea", 99)) == 11  # none is rare: the rarest
    assert len(writer.keyword("the", 99)) == 12
    assert writer.keyword("the unheard", 99) == []
