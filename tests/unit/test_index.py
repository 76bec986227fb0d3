"""The index: what changes is read, what does not costs a stat, what is gone goes, what moved is known again."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemlet import Embedder
from gemlet.documents import Block, Document
from gemlet.errors import InputError, StoreMismatch, StoreNotFound, UnreadableDocument
from gemlet.index import Index, Pace, Report, default_path
from gemlet.index import reading as reading_module
from gemlet.index.pipeline import Pipeline
from gemlet.passages import Passage
from gemlet.scan import quantise
from gemlet.store import Store

LONG_AGO = 1_000_000_000


def write(folder: Path, **texts: str) -> None:
    """Files, by name without ".txt"; old enough that their times can be trusted."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / f"{name}.txt"
        path.write_text(text, encoding="utf-8")
        settle(path)


def settle(path: Path) -> None:
    settle.clock += 1
    os.utime(path, (settle.clock, settle.clock))


settle.clock = LONG_AGO


def texts_of(index: Index) -> dict[str, list[str]]:
    """Name → the texts of the file's passages."""
    store = index.store
    return {Path(f.path).name: [p.text for p in store.passages_of(f.path)] for f in store.files()}


def numbers(report: object) -> tuple[int, ...]:
    """added, changed, moved, removed, unchanged."""
    return tuple(getattr(report, name) for name in ("added", "changed", "moved", "removed", "unchanged"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder, a="Apples are red.", b="Pears are green.", c="Plums are blue.")
    return folder


@pytest.fixture
def index(tmp_path: Path, tiny: Embedder) -> Iterator[Index]:
    with Index(tmp_path / "index.db", model=tiny) as opened:
        yield opened


def test_a_run_reads_what_is_new_changed_gone_and_nothing_else(index: Index, docs: Path) -> None:
    assert numbers(index.update([docs])) == (3, 0, 0, 0, 0)
    second = index.update()
    assert (numbers(second), second.tokens) == ((0, 0, 0, 0, 3), 0)
    write(docs, a="Apples are yellow.", d="Figs are brown.")
    (docs / "b.txt").unlink()
    third = index.update()
    assert numbers(third) == (1, 1, 0, 1, 1)
    assert third.passages == 2
    assert texts_of(index) == {
        "a.txt": ["Apples are yellow."], "c.txt": ["Plums are blue."], "d.txt": ["Figs are brown."],
    }  # fmt: skip
    assert index.store.keyword("green", 5) == []
    assert index.store.counts() == {"files": 3, "documents": 3, "passages": 3, "problems": 0}


def test_an_unchanged_file_is_not_opened(index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.update([docs])
    opened: list[object] = []
    monkeypatch.setattr(reading_module.Reader, "read", lambda _, stamp: opened.append(stamp))
    with Index(index.path, model="no/such-model", offline=True) as again:  # nor is the model needed
        again.update()
    assert opened == []


def test_a_vector_in_the_store_is_the_embedders_own(index: Index, docs: Path, tiny: Embedder) -> None:
    long = "\n\n".join(f"Paragraph {i} is about apples and pears and much else. " * 12 for i in range(40))
    write(docs, long=f"A long text\n===========\n\n{long}")
    index.update([docs])
    passages = [p for f in index.store.files() for p in index.store.passages_of(f.path)]
    assert len(passages) > 6
    scales, codes = index.store.vectors([p.id for p in passages])
    own = quantise(tiny.encode_document([p.text for p in passages], titles=[p.title for p in passages]))
    assert (codes == own[0]).all()
    assert (scales == own[1]).all()
    scan = index.store.scan()
    assert scan.ids.tolist() == sorted(p.id for p in passages)
    found, cosines = scan.search(tiny.encode_document([passages[2].text], titles=[passages[2].title])[0], 1)
    assert found.tolist() == [passages[2].id]
    assert abs(cosines[0] - 1) < 0.01


def test_the_scan_is_written_by_the_run_and_follows_changes(index: Index, docs: Path) -> None:
    index.update([docs])
    path = index.path.with_name("index.db.scan")
    before = path.stat().st_ino
    assert len(index.store.scan()) == 3
    assert path.stat().st_ino == before
    write(docs, d="Figs are brown.")
    index.update()
    assert len(index.store.scan()) == 4
    path.unlink()
    with Store(index.path) as store:
        assert len(store.scan()) == 4
    assert path.exists()
    path.write_bytes(b"damaged")
    with Store(index.path) as store:
        assert len(store.scan()) == 4


def test_moved_files_are_known_by_their_contents(index: Index, docs: Path) -> None:
    index.update([docs])
    (docs / "deep").mkdir()
    (docs / "a.txt").rename(docs / "deep" / "z.txt")
    (docs / "b.txt").rename(docs / "b2.txt")
    report = index.update()
    assert (numbers(report), report.tokens) == ((0, 0, 2, 0, 1), 0)
    assert set(texts_of(index)) == {"z.txt", "b2.txt", "c.txt"}


def test_two_files_that_swap_names_keep_their_vectors(index: Index, docs: Path) -> None:
    index.update([docs])
    (docs / "a.txt").rename(docs / "t")
    (docs / "b.txt").rename(docs / "a.txt")
    (docs / "t").rename(docs / "b.txt")
    report = index.update()
    assert (report.changed, report.tokens) == (2, 0)
    assert texts_of(index)["a.txt"] == ["Pears are green."]


def test_copies_share_a_document_also_when_they_come_together(index: Index, docs: Path) -> None:
    write(docs, d="Apples are red.", e="Apples are red.")
    report = index.update([docs])
    assert (numbers(report), report.passages) == ((5, 0, 0, 0, 0), 3)
    write(docs, f="Apples are red.")
    report = index.update()
    assert (numbers(report), report.tokens) == ((1, 0, 0, 0, 5), 0)
    (docs / "a.txt").unlink()
    assert numbers(index.update()) == (0, 0, 0, 1, 5)
    (hit,) = index.store.keyword("apples", 5)
    assert [Path(p).name for p in index.store.passages([hit[0]])[0].paths] == ["d.txt", "e.txt", "f.txt"]


def test_another_ending_is_another_document(index: Index, docs: Path) -> None:
    (docs / "a.txt").rename(docs / "a.py")
    report = index.update([docs])
    (docs / "a.py").rename(docs / "a.txt")
    report = index.update()
    assert numbers(report) == (1, 0, 0, 1, 2)
    assert {f.kind for f in index.store.files()} == {"text"}


def test_of_an_edited_document_only_the_new_passages_are_embedded(index: Index, docs: Path, tiny: Embedder) -> None:
    parts = [f"# Part {i}\n\n" + f"Sentence about {'abcdefgh'[i]} and its friends. " * 30 for i in range(8)]
    path = docs / "long.md"
    path.write_text("\n\n".join(parts))
    settle(path)
    whole = index.update([docs])
    path.write_text("\n\n".join([*parts[:4], parts[4].replace("friends", "foes"), *parts[5:]]))
    settle(path)
    report = index.update()
    assert report.passages - report.reused == 1
    assert 0 < report.tokens < whole.tokens / 3
    assert (report.reused, report.changed) == (report.passages - 1, 1)
    passages = index.store.passages_of(path)
    _, codes = index.store.vectors([p.id for p in passages])
    own = quantise(tiny.encode_document([p.text for p in passages], titles=[p.title for p in passages]))[0]
    assert (codes == own).all()


def test_a_file_written_moments_ago_is_looked_at_again(index: Index, docs: Path) -> None:
    path = docs / "young.txt"
    path.write_text("first")
    index.update([docs])
    found = path.stat()
    path.write_text("other")  # as long, and put back to the same time: only the contents tell
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    index.update()
    assert texts_of(index)["young.txt"] == ["other"]


def test_an_empty_file_and_a_touched_one_cost_nothing(index: Index, docs: Path) -> None:
    write(docs, empty="")
    assert numbers(index.update([docs])) == (4, 0, 0, 0, 0)
    settle(docs / "a.txt")
    report = index.update()
    assert (numbers(report), report.tokens) == ((0, 0, 0, 0, 4), 0)
    assert numbers(index.update()) == (0, 0, 0, 0, 4)


def test_unreadable_files_are_listed_and_binary_ones_are_not(index: Index, docs: Path) -> None:
    (docs / "broken.ipynb").write_text("{")
    (docs / "photo.xyz").write_bytes(b"\x89\0\0\0")
    (docs / "nul.txt").write_bytes(b"text\0text")
    for name in ("broken.ipynb", "photo.xyz", "nul.txt"):
        settle(docs / name)
    report = index.update([docs])
    assert [Path(path).name for path, _ in report.problems] == ["broken.ipynb", "nul.txt"]
    assert (report.added, report.skipped) == (3, 1)
    again = index.update()
    assert again.problems == report.problems
    assert index.store.problems() == report.problems
    (docs / "broken.ipynb").unlink()
    write(docs, nul="no more")
    report = index.update()
    assert (report.problems, report.added) == ([], 1)


def test_files_that_need_an_extra_are_tried_again_when_it_may_be_there(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("x.pdf", "y.pdf"):
        (docs / name).write_bytes(b"%PDF-1.7 " + name.encode())
        settle(docs / name)

    def missing(path: Path, **_: object) -> object:
        calls.append(path.name)
        raise UnreadableDocument(path, "needs an extra to be read: pip install 'gemlet[docs]'")

    with monkeypatch.context() as patch:
        real = reading_module.read_document
        patch.setattr(
            reading_module, "read_document", lambda path, **o: (missing if path.suffix == ".pdf" else real)(path, **o)
        )
        assert len(index.update([docs]).problems) == 2
        assert calls == ["x.pdf"]  # the second is known to need the same
        assert len(index.update().problems) == 2
        assert calls == ["x.pdf", "x.pdf"]
    monkeypatch.setattr(
        reading_module, "read_document", lambda *_, **__: Document("pdf", None, None, [Block("Now it is read.", 1)])
    )
    assert (index.update().added, index.store.problems()) == (2, [])


def test_a_file_that_becomes_unreadable_takes_its_old_text_along(index: Index, docs: Path) -> None:
    index.update([docs])
    (docs / "a.txt").write_bytes(b"\0\1\2")
    settle(docs / "a.txt")
    report = index.update()
    assert (len(report.problems), report.removed) == (1, 1)
    assert index.store.keyword("apples", 5) == []


def test_a_file_that_cannot_be_opened_keeps_its_old_text(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([docs])
    write(docs, a="Apples are yellow.")
    real = reading_module._digest

    def closed(path: Path) -> bytes:
        if path.name == "a.txt":
            raise PermissionError(13, "Permission denied")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(reading_module, "_digest", closed)
        report = index.update()
    assert [reason for _, reason in report.problems] == ["cannot be read: Permission denied"]
    assert texts_of(index)["a.txt"] == ["Apples are red."]
    report = index.update()
    assert (report.problems, report.changed) == ([], 1)


def test_a_file_that_never_holds_still_is_told(index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = reading_module.read_document

    def writing(path: Path, **options: object) -> object:
        if path.name == "a.txt":
            path.write_text(path.read_text() + "more")
        return real(path, **options)

    monkeypatch.setattr(reading_module, "read_document", writing)
    report = index.update([docs])
    assert [reason for _, reason in report.problems] == ["is written to while it is read: index it again later"]
    assert report.added == 2


def test_a_parsers_own_mistake_costs_one_file(index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = reading_module.read_document

    def broken(path: Path, **options: object) -> object:
        if path.name == "b.txt":
            raise KeyError("bug")
        return real(path, **options)

    monkeypatch.setattr(reading_module, "read_document", broken)
    report = index.update([docs])
    assert [reason for _, reason in report.problems] == ["cannot be parsed: KeyError: 'bug'"]
    assert report.added == 2


def test_lone_surrogates_do_not_stop_a_run(index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "split", lambda *_: [Passage("a \ud800 b", "t \udfff", 1, 1, None)])
    index.update([docs / "a.txt"])
    (passage,) = index.store.passages_of(docs / "a.txt")
    assert (passage.text, passage.title) == ("a \ufffd b", "t \ufffd")


def test_odd_names_come_back_as_they_are(index: Index, docs: Path) -> None:
    name = docs / os.fsdecode(b"new\nline \xff.txt")
    name.write_text("odd")
    index.update([docs])
    (hit,) = index.store.keyword("odd", 5)
    assert index.store.passages([hit[0]])[0].paths == (str(name),)
    assert index.store.passages_of(name)[0].text == "odd"


def test_roots_are_remembered_with_how_they_are_walked(index: Index, docs: Path, tmp_path: Path) -> None:
    write(tmp_path / "more", d="Figs are brown.")
    (docs / ".hidden.txt").write_text("secret")
    index.update([docs], hidden=True)
    index.update([tmp_path / "more"])
    assert index.store.roots() == [str(docs), str(tmp_path / "more")]
    (docs / "c.txt").unlink()
    assert numbers(index.update([tmp_path / "more"]))[3] == 0  # another root's files are none of its business
    index.update()
    assert set(texts_of(index)) == {".hidden.txt", "a.txt", "b.txt", "d.txt"}
    index.update([docs], hidden=False)
    assert set(texts_of(index)) == {"a.txt", "b.txt", "d.txt"}


def test_a_root_in_a_root_keeps_its_own_rules(index: Index, docs: Path) -> None:
    write(docs / "node_modules", m="A module.")
    index.update([docs / "node_modules"])
    assert set(texts_of(index)) == {"m.txt"}
    index.update([docs])
    assert len(texts_of(index)) == 4
    index.update()
    assert len(texts_of(index)) == 4
    (docs / "node_modules/m.txt").unlink()
    index.update()
    assert len(texts_of(index)) == 3


def test_a_newly_ignored_file_leaves(index: Index, docs: Path) -> None:
    index.update([docs])
    (docs / ".gemletignore").write_text("a*\n")
    assert numbers(index.update()) == (0, 0, 0, 1, 2)


def test_a_root_that_is_not_there_keeps_its_files_and_is_told(index: Index, docs: Path, tmp_path: Path) -> None:
    index.update([docs])
    docs.rename(tmp_path / "away")
    report = index.update()
    assert len(report.problems) == 1
    assert (
        "is not there: its files stay in the index, take them out with `gemlet index --remove`" in report.problems[0][1]
    )
    assert len(texts_of(index)) == 3
    with pytest.raises(InputError, match="there is no file or folder"):
        index.update([docs])
    assert index.remove([docs]) == 3
    assert index.store.counts() == {"files": 0, "documents": 0, "passages": 0, "problems": 0}
    assert index.store.roots() == []


def test_an_empty_folder_on_another_disk_is_a_disk_that_is_not_there(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([docs])
    for path in docs.iterdir():
        path.rename(docs.parent / path.name)
    with monkeypatch.context() as patch:
        patch.setattr("gemlet.index.update._device", lambda _: 99)
        report = index.update()
    assert ["is empty, and on another disk" in reason for _, reason in report.problems] == [True]
    assert len(texts_of(index)) == 3
    assert numbers(index.update()) == (0, 0, 0, 3, 0)  # on the same disk they are gone


def test_a_file_as_a_root_goes_when_it_is_deleted(index: Index, docs: Path) -> None:
    index.update([docs / "a.txt", docs / "b.txt"])
    (docs / "a.txt").unlink()
    assert numbers(index.update()) == (0, 0, 0, 1, 1)
    assert index.store.roots() == [str(docs / "b.txt")]


def test_remove_takes_out_what_it_names_and_refuses_what_is_not_in(index: Index, docs: Path, tmp_path: Path) -> None:
    index.update([docs])
    assert index.remove([docs / "a.txt"]) == 1
    with pytest.raises(InputError, match="has nothing of"):
        index.remove([tmp_path / "elsewhere"])
    with pytest.raises(StoreNotFound), Index(tmp_path / "none.db") as none:
        none.remove([docs])
    assert not (tmp_path / "none.db").exists()


def test_without_roots_there_is_nothing_to_do(index: Index) -> None:
    with pytest.raises(InputError, match="nothing was indexed before"):
        index.update()
    assert not index.path.exists()


def test_the_index_does_not_index_itself(tiny: Embedder, docs: Path) -> None:
    with Index(docs / "index.txt", model=tiny) as index:
        index.update([docs])
        assert numbers(index.update()) == (0, 0, 0, 0, 3)


def test_another_model_dimension_or_quantization_is_refused_with_the_cure(
    index: Index, docs: Path, tmp_path: Path, tiny_checkpoint: Path, tiny_f32: Embedder
) -> None:
    from tiny_model import write_tiny_checkpoint

    index.update([docs])
    other = write_tiny_checkpoint(tmp_path / "other", seed=1)
    for asked, message in (
        ({"model": other}, "was made with model .*: take that model with --model, another index"),
        ({"model": tiny_f32}, "was made with quantization q8_0, not f32: take that with --quantization"),
        ({"model": tiny_checkpoint, "truncate_dim": 128}, "was made with dim 64, not 128: leave --dim out"),
    ):
        write(docs, a=f"changed for {message}")
        with Index(index.path, **asked) as wrong, pytest.raises(StoreMismatch, match=message):
            wrong.update()
        with Index(index.path, **asked) as wrong, pytest.raises(StoreMismatch, match="gemlet index --rebuild"):
            wrong.embedder  # noqa: B018
    assert texts_of(index)["a.txt"] == ["Apples are red."]


def test_another_chunker_is_refused(index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch, tiny: Embedder) -> None:
    index.update([docs])
    write(docs, a="changed")
    monkeypatch.setattr("gemlet.index.fingerprint.CHUNKER", 99)
    with Index(index.path, model=tiny) as later, pytest.raises(StoreMismatch, match=r"chunker .*, not 99"):
        later.update()


def test_the_index_names_its_model_and_a_reader_needs_no_other(index: Index, docs: Path, tiny: Embedder) -> None:
    index.update([docs])
    with Index(index.path) as later:
        assert later.dim == 64
        assert (later.embedder.encode_query("apples") == tiny.encode_query("apples")).all()
        assert later.status()["quantization"] == "q8_0"
        assert later.status()["files"] == 3


def test_rebuild_makes_the_same_roots_anew_with_other_settings(
    index: Index, docs: Path, tiny_checkpoint: Path, tiny_f32: Embedder
) -> None:
    index.update([docs])
    before = index.store.generation
    with Index(index.path, model=tiny_checkpoint, quantization="f32") as other:
        report = other.rebuild()
        assert numbers(report) == (3, 0, 0, 0, 0)
        assert other.status()["quantization"] == "f32"
        (hit,) = other.store.keyword("apples", 1)
        _, codes = other.store.vectors([hit[0]])
        assert (codes[0] == quantise(tiny_f32.encode_document(["Apples are red."]))[0]).all()
        assert numbers(other.update()) == (0, 0, 0, 0, 3)
    assert index.store.generation != before
    assert len(index.store.scan()) == 3
    assert sorted(p.name for p in index.path.parent.iterdir() if p.name != "docs") == [
        "index.db", "index.db-shm", "index.db-wal", "index.db.lock", "index.db.scan",
    ]  # fmt: skip


def test_a_rebuild_that_was_interrupted_goes_on_or_begins_anew_with_other_settings(
    index: Index, docs: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([docs])
    beside = index.path.with_name("index.db.new")

    def rebuild(**options: Any) -> Report:
        with Index(index.path, model=tiny_checkpoint, **options) as other:
            return other.rebuild()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for again, added, unchanged in (({"quantization": "bf16"}, 0, 3), ({}, 3, 0)):
        with monkeypatch.context() as patch:
            patch.setattr("gemlet.store.writer.StoreWriter.copy_to", stop)
            with pytest.raises(KeyboardInterrupt):
                rebuild(quantization="bf16")
        assert beside.exists()
        assert len(texts_of(index)) == 3
        report = rebuild(**again)
        assert (report.added, report.unchanged) == (added, unchanged)
        assert not beside.exists()
    assert index.status()["quantization"] == "q8_0"


def test_a_rebuild_never_loses_what_is_not_there(index: Index, docs: Path, tmp_path: Path) -> None:
    index.update([docs])
    docs.rename(tmp_path / "away")
    with pytest.raises(InputError, match="is not there, its files would leave the index: attach it"):
        index.rebuild()
    assert len(texts_of(index)) == 3


def test_an_interrupted_run_keeps_what_was_complete_and_the_next_goes_on(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(40):
        write(docs, **{f"n{i}": f"Number {i}. " * 500})
    real, calls = Pipeline._embed, []

    def stop_at_third(self: Pipeline, rows: object) -> None:
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "_embed", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            index.update([docs])
    kept = index.store.counts()["files"]
    assert 0 < kept < 43
    assert threading.active_count() == 1 or not [t for t in threading.enumerate() if t.name.startswith("gemlet-")]
    report = index.update()
    assert numbers(report) == (43 - kept, 0, 0, 0, kept)


def test_of_a_long_document_that_was_interrupted_no_vector_is_made_twice(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(docs, long="\n\n".join(f"Paragraph {i} of many. {'And more. ' * 60}" for i in range(400)))
    monkeypatch.setattr("gemlet.index.pipeline._LONG", 20)
    real, calls = Pipeline._embed, []

    def stop_at_sixth(self: Pipeline, rows: object) -> None:
        calls.append(rows)
        if len(calls) == 6:
            raise KeyboardInterrupt
        real(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "_embed", stop_at_sixth)
        with pytest.raises(KeyboardInterrupt):
            index.update([docs])
    assert "long.txt" not in texts_of(index)
    report = index.update()
    assert report.reused > 10
    with Index(index.path.with_name("other.db"), model=index.embedder) as other:
        whole = other.update([docs])
        assert report.tokens < whole.tokens
        for file in other.store.files():
            ours, theirs = (i.store.vectors([p.id for p in i.store.passages_of(file.path)])[1] for i in (index, other))
            assert (ours == theirs).all()
    assert index.store._rows("SELECT count(*) FROM spare") == [(0,)]


def test_the_listener_hears_files_bytes_rate_and_time_left(index: Index, docs: Path) -> None:
    heard: list[Pace] = []

    class Ear:
        def message(self, text: str) -> None:
            raise AssertionError(text)

        def pace(self, pace: Pace) -> None:
            heard.append(pace)

    index.update([docs], listener=Ear())
    size = sum(path.stat().st_size for path in docs.iterdir())
    assert heard[-1].files == heard[-1].all_files == 3
    assert heard[-1].all_bytes == size
    assert abs(heard[-1].bytes - size) < 1e-6
    assert heard[-1].tokens > 0
    assert heard[-1].rate > 0
    assert heard[-1].left == pytest.approx(0, abs=1e-6)
    assert Pace(0, 3, 0, size, 0, 0.0).left is None


def test_a_second_writer_waits_for_the_first(index: Index, docs: Path, tiny: Embedder) -> None:
    index.update([docs])
    said: list[str] = []

    class Ear:
        def message(self, text: str) -> None:
            said.append(text)

        def pace(self, pace: Pace) -> None:
            pass

    write(docs, d="Figs are brown.")
    with Index(index.path, model=tiny) as other:
        thread = threading.Thread(target=lambda: other.update(listener=Ear()))
        with index._writer(Ear()):
            thread.start()
            while not said:
                time.sleep(0.01)
        thread.join()
    assert said == [f"waiting: another process writes the index {index.path}"]
    assert len(texts_of(index)) == 4


def test_watch_follows_changes(index: Index, docs: Path) -> None:
    pytest.importorskip("watchfiles")
    reports = index.watch([docs, docs / "a.txt"])
    assert numbers(next(reports)) == (3, 0, 0, 0, 0)
    write(docs, d="Figs are brown.")
    assert numbers(next(reports))[0] == 1
    (docs / "d.txt").unlink()
    assert numbers(next(reports))[3] == 1
    assert set(texts_of(index)) == {"a.txt", "b.txt", "c.txt"}
    reports.close()


def test_watch_sees_a_single_file_replaced(index: Index, docs: Path) -> None:
    pytest.importorskip("watchfiles")
    reports = index.watch([docs / "a.txt"])
    next(reports)
    write(docs, new="Apples are yellow.")
    os.replace(docs / "new.txt", docs / "a.txt")
    assert numbers(next(reports))[1] == 1


def test_the_default_place_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMLET_INDEX", str(tmp_path / "mine.db"))
    assert default_path() == tmp_path / "mine.db"
    assert Index().path == tmp_path / "mine.db"
    monkeypatch.delenv("GEMLET_INDEX")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path().name == "index.db"


def test_codes_have_the_cut_dimension(docs: Path, tmp_path: Path, tiny: Embedder) -> None:
    """The tiny model has 64 numbers, none of which it may cut; the store takes what the fingerprint says."""
    with Index(tmp_path / "i.db", model=tiny) as index:
        index.update([docs])
        _, codes = index.store.vectors([i for i, _ in index.store.keyword("apples", 1)])
        assert codes.shape == (1, 64)
        assert np.abs(codes).max() == 127
