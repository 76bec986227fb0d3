"""PDF, Office, OpenDocument and EPUB → blocks, through the worker process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from made_documents import docx, epub, odt, paragraph, pdf, pptx, xlsx

from gemlet.documents import Document, Limits, isolation, read_document, stop_reading
from gemlet.errors import UnreadableDocument

pytest.importorskip("kreuzberg")

REPORT = (
    paragraph("Report", "Heading1") + paragraph("It is *so*.") + paragraph("Costs", "Heading1") + paragraph("None.")
)


def read(folder: Path, name: str, content: bytes) -> Document:
    path = folder / name
    path.write_bytes(content)
    return read_document(path)


def shown(document: Document) -> list[tuple[int, int | None, str, str]]:
    return [(block.line, block.page, block.kind, block.text) for block in document.blocks]


def test_a_pdfs_pages_headings_and_paragraphs(tmp_path: Path) -> None:
    prose = ["The first line of text is long enough to be the widest of all of them,"] * 4 + ["and here it ends."]
    pages = [
        [
            (22, "First Chapter"),
            *((11, text) for text in prose),
            (11, "Another paragraph, which goes on until"),
            (11, "3"),
        ],
        [(22, "Second Chapter"), *((11, text) for text in prose), (11, "4")],
    ]
    document = read(tmp_path, "a.pdf", pdf(pages, title="A Book"))
    assert (document.kind, document.title) == ("pdf", "A Book")
    text = "\n".join(prose)
    assert shown(document) == [
        (1, 1, "heading", "First Chapter"),
        (2, 1, "paragraph", text),
        (7, 1, "paragraph", "Another paragraph, which goes on until"),
        (10, 2, "heading", "Second Chapter"),
        (11, 2, "paragraph", text),
    ]


def test_running_titles_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    pages = [[(11, f"Notes, page {n}"), (11, f"Text of number {n}."), (11, f"{n}")] for n in range(1, 5)]
    document = read(tmp_path, "a.pdf", pdf(pages))
    assert [block.text for block in document.blocks] == [f"Text of number {n}." for n in range(1, 5)]
    assert [block.page for block in document.blocks] == [1, 2, 3, 4]


def test_word(tmp_path: Path) -> None:
    document = read(tmp_path, "a.docx", docx(REPORT, title="The Report"))
    assert (document.kind, document.title) == ("office", "The Report")
    assert shown(document) == [
        (1, None, "heading", "Report"),
        (3, None, "paragraph", "It is *so*."),
        (5, None, "heading", "Costs"),
        (7, None, "paragraph", "None."),
    ]


def test_a_workbooks_rows_carry_their_header(tmp_path: Path) -> None:
    sheets = {"People": [["Name", "Age"], ["Ann", "31"], ["Bob", ""]], "Costs": [["Item", "Price"], ["Tea", "2"]]}
    document = read(tmp_path, "a.xlsx", xlsx(sheets))
    assert [block.text for block in document.blocks if block.kind == "heading"] == ["People", "Costs"]
    assert [(block.page, block.text) for block in document.blocks if block.kind == "row"] == [
        (1, "Name, Age"), (1, "Name: Ann, Age: 31"), (1, "Name: Bob"), (2, "Item, Price"), (2, "Item: Tea, Price: 2"),
    ]  # fmt: skip


def test_a_slides_first_line_is_its_title(tmp_path: Path) -> None:
    document = read(tmp_path, "a.pptx", pptx([["Hello", "first point"], ["Second slide", "another"]]))
    assert [(block.page, block.level, block.text) for block in document.blocks] == [
        (1, 1, "Hello"), (1, 0, "first point"), (2, 1, "Second slide"), (2, 0, "another"),
    ]  # fmt: skip


def test_opendocument(tmp_path: Path) -> None:
    document = read(tmp_path, "a.odt", odt('<text:h text:outline-level="1">Head</text:h><text:p>Text.</text:p>'))
    assert document.title == "Head"
    assert [(block.level, block.text) for block in document.blocks] == [(1, "Head"), (0, "Text.")]


def test_a_book(tmp_path: Path) -> None:
    document = read(tmp_path, "a.epub", epub("A Novel", ["<h1>One</h1><p>Dark night.</p>", "<h1>Two</h1><p>Day.</p>"]))
    assert (document.kind, document.title) == ("ebook", "A Novel")
    assert [block.text for block in document.blocks] == ["One", "Dark night.", "Two", "Day."]


def test_a_pdf_without_its_suffix_is_known_by_its_contents(tmp_path: Path) -> None:
    assert read(tmp_path, "paper", pdf([[(11, "Some text.")]])).kind == "pdf"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n.docx"
    try:
        with open(path, "wb") as file:
            file.write(docx(REPORT))
    except OSError:
        pytest.skip("the file system takes no such name")
    assert len(read_document(Path(os.fsdecode(path))).blocks) == 4


# --- the process ---


def process_id() -> int:
    process = isolation._worker._process
    assert process is not None
    return process.pid


def test_the_process_is_started_once_and_again_after_it_died(tmp_path: Path) -> None:
    read(tmp_path, "a.docx", docx(REPORT))
    first = process_id()
    read(tmp_path, "b.docx", docx(REPORT))
    assert process_id() == first
    os.kill(first, signal.SIGKILL)
    time.sleep(0.05)
    read(tmp_path, "c.docx", docx(REPORT))
    assert process_id() != first


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(paragraph("words") * 200_000))
    begin = time.monotonic()
    with pytest.raises(UnreadableDocument, match=r"takes longer than 0.1 s to read$"):
        read_document(path, limits=Limits(seconds=0.1))
    assert time.monotonic() - begin < 5
    assert len(read(tmp_path, "b.docx", docx(REPORT)).blocks) == 4


def test_reading_can_be_stopped_from_another_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(paragraph("words") * 200_000))
    timer = threading.Timer(0.3, stop_reading)
    timer.start()
    with pytest.raises(UnreadableDocument, match="or makes the reader crash"):
        read_document(path)
    timer.join()
    assert len(read(tmp_path, "b.docx", docx(REPORT)).blocks) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of memory")
def test_what_takes_too_much_memory_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(paragraph("words") * 500_000))
    with pytest.raises(UnreadableDocument, match="takes more than 100 MB of memory to read"):
        read_document(path, limits=Limits(memory_bytes=100 << 20))
    assert len(read(tmp_path, "b.docx", docx(REPORT)).blocks) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux tells of a process begins with its caller's")
def test_a_caller_that_takes_much_memory_may_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(REPORT))
    code = (
        "import sys; from pathlib import Path; from gemlet.documents import read_document;"
        "much = bytearray(1400 << 20); much[::4096] = b'x' * len(much[::4096]);"
        "print(len(read_document(Path(sys.argv[1])).blocks))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_more_text_than_the_limit_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(paragraph("word " * 10_000)))
    with pytest.raises(UnreadableDocument, match=r"holds more than 4.0 kB of text$"):
        read_document(path, limits=Limits(text_bytes=4096))


def test_threads_take_turns(tmp_path: Path) -> None:
    found: dict[int, list[str]] = {}

    def work(number: int) -> None:
        document = read(tmp_path, f"{number}.docx", docx(paragraph(f"number {number}")))
        found[number] = [block.text for block in document.blocks]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [f"number {number}"] for number in range(8)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_a_process_of_its_own(tmp_path: Path) -> None:
    read(tmp_path, "a.docx", docx(REPORT))
    child = os.fork()
    if child == 0:
        os._exit(0 if len(read(tmp_path, "b.docx", docx(REPORT)).blocks) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(read(tmp_path, "a.docx", docx(REPORT)).blocks) == 4


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "find_spec", lambda _: None)
    with pytest.raises(UnreadableDocument, match=r"a\.docx: needs an extra to be read: pip install 'gemlet\[docs\]'"):
        read(tmp_path, "a.docx", docx(REPORT))
