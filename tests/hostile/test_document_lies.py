"""One test for each way a document can lie, be broken, or be made to take all time and memory.

What cannot be read is an UnreadableDocument of one line; everything else is read, in time linear in its length.
"""

import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_documents import archive, docx, epub, odt, paragraph, pdf, pptx, xlsx

from gemlet.documents import Document, Limits, read_document
from gemlet.errors import UnreadableDocument
from gemlet.passages import split


def read(folder: Path, name: str, content: str | bytes, limits: Limits | None = None) -> Document:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path, limits=limits)


def refusal(folder: Path, name: str, content: str | bytes, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        read(folder, name, content, limits)
    assert "\n" not in str(caught.value)
    assert str(caught.value) == f"{folder / name}: {caught.value.reason}"
    return caught.value.reason


def quarter_words(texts: Sequence[str]) -> list[int]:
    """A tokenizer whose own time does not count here."""
    return [len(text) // 4 + 2 for text in texts]


def squeezed(texts: Sequence[str]) -> str:
    return "".join("".join(text.split()) for text in texts)


# --- any file at all ---


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.py", "a.cpp", "a.csv", "a.html", "a.eml", "a.mbox", "a"])
@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\n ", b"\xef\xbb\xbf", b"\r\r\n"])
def test_a_file_without_text_has_no_blocks(tmp_path: Path, name: str, content: bytes) -> None:
    document = read(tmp_path, name, content)
    assert document.blocks == []
    assert split(document, quarter_words) == []


@pytest.mark.parametrize("name", ["a.txt", "a.py", "a.csv", "a.html", "a.eml", "a.ipynb", "a"])
@pytest.mark.parametrize("content", [b"text\0", b"\x7fELF\x02\x01\x01\0\0", b"\x89PNG\r\n\x1a\n\0\0"])
def test_binary_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    if name == "a.eml":
        content = b"Content-Type: text/plain\n\n" + content
    assert refusal(tmp_path, name, content) == "is a binary file, not text"


def test_noise_without_a_nul_is_binary_too(tmp_path: Path) -> None:
    noise = bytes(random.Random(1).choices(range(1, 256), k=5000))
    assert refusal(tmp_path, "a.txt", noise) == "is a binary file, not text"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x96"])
def test_invalid_utf8_loses_nothing_around_it(tmp_path: Path, bad: bytes) -> None:
    text = read(tmp_path, "a.txt", "before ä ö ü ß ".encode() * 3 + bad + b" after").blocks[0].text
    assert text.startswith("before ä ö ü ß")
    assert text.endswith("after")
    text.encode()  # no half of a character is left


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="is not a regular file"):
        read_document(tmp_path)
    with pytest.raises(UnreadableDocument, match="cannot be read: No such file"):
        read_document(tmp_path / "nowhere.md")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    with pytest.raises(UnreadableDocument, match="cannot be read"):
        read_document(tmp_path / "loop.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UnreadableDocument, match="is not a regular file"):
        read_document(tmp_path / "pipe.txt")


SUFFIXES = "txt md rst tex org py js cpp c rs go java rb php sh csv html eml mbox ipynb none".split()  # noqa: SIM905


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300) | st.text("<>/\"!-=#`~:;,|\n ab{}()[]\\'@", max_size=300).map(str.encode),
    st.sampled_from(SUFFIXES),
)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    try:
        document = read_document(path)
    except UnreadableDocument as error:
        assert "\n" not in error.reason
        return
    lines = content.count(b"\n") + content.count(b"\r") + 1
    for block in document.blocks:
        assert block.text.strip()
        assert block.line >= 1
        assert suffix == "ipynb" or block.line <= lines
        block.text.encode()
    passages = split(document, quarter_words, tokens=32)
    assert squeezed([passage.text for passage in passages]) == squeezed([block.text for block in document.blocks])


# --- time and memory ---

MANY = 50_000
LONG = Limits(text_bytes=1 << 30)


def test_a_line_of_100_mb_is_read_and_split_in_linear_time(tmp_path: Path) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * (100_000_000 // 45)
    begin = time.process_time()
    document = read(tmp_path, "a.txt", text, LONG)
    passages = split(document, quarter_words)
    assert time.process_time() - begin < 120  # some 10 s; what is quadratic takes hours
    assert max(quarter_words([passage.text for passage in passages])) <= 768
    assert sum(len(passage.text) + 1 for passage in passages) == len(text)
    assert {(passage.first_line, passage.last_line) for passage in passages} == {(1, 1)}


def test_a_line_of_100_mb_is_over_the_limit_unless_that_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(UnreadableDocument, match="has 95 MB, more than the limit of 32 MB"):
        read_document(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "a" * MANY * 5),
        ("a.txt", "数" * MANY),
        ("a.txt", ". " * MANY),
        ("a.txt", "\n" * MANY * 5),
        ("a.txt", "a\n-\n" * MANY),
        ("a.md", "# " + " " * MANY * 5 + "x"),
        ("a.md", "#" * MANY * 5),
        ("a.md", "`" * MANY * 5),
        ("a.md", "[" * MANY * 5 + "\n==="),
        ("a.md", "```\n" * MANY),
        ("a.md", "---\n" * MANY),
        ("a.rst", "=" * MANY * 5 + "\na"),
        ("a.rst", "T\n==\n\n" * MANY),
        ("a.tex", "\\section{" * MANY),
        ("a.py", "def f(): pass\n" * MANY),
        ("a.py", "(" * MANY),
        ("a.py", "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 700))),
        ("a.cpp", "namespace a {\n" * 20_000),
        ("a.js", "{\n" * MANY),
        ("a.c", "#if 1\n" * 20_000),
        ("a.json", "[" * MANY * 5),
        ("a.csv", ",".join(["x"] * MANY)),
        ("a.csv", "a,b\n" * MANY),
        ("a.csv", '"a,b\n' * MANY),
        ("a.html", "<p>" * MANY),
        ("a.html", "<" * MANY * 5),
        ("a.html", "<!--" * MANY),
        ("a.html", "<nav>" * MANY),
        ("a.html", "<script>" * MANY),
        ("a.html", '<a "' * MANY),
        ("a.html", '<a b="' + "x" * MANY * 5),
        ("a.html", "&" * MANY * 5),
        ("a.html", "<td>" * MANY),
        ("a.html", "<table><tr>" * MANY),
        ("a.eml", "a: b\n" * MANY),
        ("a.eml", "Subject: " + "=?utf-8?q?a?= " * 20_000 + "\n\nx"),
        ("a.eml", "From: a\n\n" + "x" * MANY * 5),
        ("a.mbox", "From a\n\n" * 20_000),
        ("a.mbox", "From a\n\nFrom " * 20_000),
        ("a.ipynb", json.dumps({"cells": [{"cell_type": "markdown", "source": "# a\n" * MANY}]})),
    ],
    ids=lambda value: value if len(value) < 9 else repr(value[:12]),
)
def test_no_text_takes_quadratic_time(tmp_path: Path, name: str, content: str) -> None:
    begin = time.process_time()
    document = read(tmp_path, name, content)
    passages = split(document, quarter_words)
    assert time.process_time() - begin < 20  # up to 2 s; what is quadratic takes minutes
    assert squeezed([passage.text for passage in passages]) == squeezed([block.text for block in document.blocks])


# --- notebooks and mail that lie ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no list of cells"),
        ("null", "no list of cells"),
        ("{}", "no list of cells"),
        ('{"cells": 1}', "no list of cells"),
        ('{"cells": [1]}', "no list of cells"),
        ('{"worksheets": []}', "no list of cells"),
        ('{"cells": [{"source": 1}]}', "a cell's source is no text"),
        ('{"cells": [{"source": [1]}]}', "a cell's source is no text"),
    ],
)
def test_a_notebook_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(tmp_path, "a.ipynb", content)


def test_a_notebook_with_odd_but_readable_parts(tmp_path: Path) -> None:
    cells = [{"cell_type": 5, "source": "half \ud800 of a character"}, {"cell_type": "code"}]
    document = read(tmp_path, "a.ipynb", json.dumps({"cells": cells, "metadata": [1]}))
    assert [block.text for block in document.blocks] == ["half \ufffd of a character"]
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1"]}]}]}
    assert read(tmp_path, "a.ipynb", json.dumps(old)).blocks[0].text == "x = 1"


@pytest.mark.parametrize(
    "content",
    [
        "Content-Type: multipart/mixed\n\nno boundary",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n--b--\ntext behind",
        "Content-Type: text/plain; charset=unicode_escape\n\nodd \\ud800 charset",
        "Content-Type: text/plain; charset=\xff\n\nno charset",
        "Content-Type: text/plain; charset=hex\n\nno charset",
        "Content-Transfer-Encoding: base64\n\n!!!",
        "Subject: =?nowhere?b?xx?=\n\ntext",
        "Subject: =?utf-8?b?!?=\n\ntext",
        "From: " + "=?utf-8?q?=ff?= " * 9 + "\n\ntext",
        "\n\n\n",
        ": \n: \n\ntext",
        "".join(f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(900)),
    ],
)
def test_mail_that_lies(tmp_path: Path, content: str) -> None:
    try:
        document = read(tmp_path, "a.eml", content)
    except UnreadableDocument as error:
        assert error.reason.startswith("is a broken mail")
    else:
        for block in document.blocks:
            block.text.encode()


# --- PDF, Office and the like ---

GOOD = {
    "a.pdf": pdf([[(11, "Some text.")]]),
    "a.docx": docx(paragraph("Some text.")),
    "a.xlsx": xlsx({"Sheet": [["Name", "Age"], ["Ann", "31"]]}),
    "a.pptx": pptx([["Some text."]]),
    "a.odt": odt("<text:p>Some text.</text:p>"),
    "a.epub": epub("Title", ["<p>Some text.</p>"]),
}


needs_docs = pytest.mark.usefixtures("docs")


@pytest.fixture
def docs() -> None:
    pytest.importorskip("kreuzberg")


@needs_docs
@pytest.mark.parametrize("name", GOOD)
def test_cut_off_anywhere(tmp_path: Path, name: str) -> None:
    content = GOOD[name]
    assert read(tmp_path, name, content).blocks
    refused = 0
    for length in range(0, len(content) - 1, max(len(content) // 40, 1)):
        try:
            read(tmp_path, name, content[:length])
        except UnreadableDocument as error:
            refused += 1
            assert error.reason.startswith(("is broken", "is empty")), error.reason
    assert refused > 20


@needs_docs
@pytest.mark.parametrize("name", GOOD)
def test_flipped_bytes_hurt_nobody(tmp_path: Path, name: str) -> None:
    dice = random.Random(name)
    for _ in range(40):
        content = bytearray(GOOD[name])
        for _ in range(dice.randint(1, 20)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        try:
            read(tmp_path, name, bytes(content))
        except UnreadableDocument as error:
            assert "\n" not in error.reason
    assert read(tmp_path, name, GOOD[name]).blocks


@needs_docs
@pytest.mark.parametrize("name", [*GOOD, "a.rtf", "a.doc", "a.xls", "a.ppt", "a.ods", "a.msg", "a.fb2"])
@pytest.mark.parametrize("content", [b"", b"no such thing", bytes(10_000), b"PK\x03\x04" + bytes(500)])
def test_another_format_than_the_name_says(tmp_path: Path, name: str, content: bytes) -> None:
    try:
        read(tmp_path, name, content)
    except UnreadableDocument as error:
        assert error.reason.startswith("is ")


@needs_docs
def test_an_encrypted_pdf(tmp_path: Path) -> None:
    locked = "<< /Filter /Standard /V 1 /R 2 /O <{0}> /U <{0}> /P -4 >>".format("00" * 32)
    content = GOOD["a.pdf"].replace(b"/Root 1 0 R", f"/Root 1 0 R /ID [<00> <00>] /Encrypt {locked}".encode())
    assert refusal(tmp_path, "a.pdf", content) == "is encrypted: save it without a password"


@needs_docs
def test_an_encrypted_office_file(tmp_path: Path) -> None:
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4096)
    assert refusal(tmp_path, "a.docx", ole).startswith("is encrypted, or an old Office file")


@needs_docs
def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = bytearray(GOOD["a.epub"])
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    assert refusal(tmp_path, "a.epub", bytes(content)) == "is encrypted: save it without a password"


@needs_docs
def test_a_zip_bomb(tmp_path: Path) -> None:
    bomb = docx(paragraph("a" * 120_000_000))
    assert len(bomb) < 1_000_000
    begin = time.monotonic()
    assert "a zip bomb?" in refusal(tmp_path, "a.docx", bomb)
    assert time.monotonic() - begin < 20
    assert read(tmp_path, "b.docx", GOOD["a.docx"]).blocks


@needs_docs
def test_a_zip_that_says_it_is_huge(tmp_path: Path) -> None:
    content = bytearray(archive({"word/document.xml": "x"}))
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = (0xF0000000).to_bytes(4, "little")
    assert refusal(tmp_path, "a.docx", bytes(content)) == "unpacks to 3.8 GB: a zip bomb?"


@needs_docs
def test_a_bomb_of_xml_entities(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "word ">{levels}]>'
    good = "<?xml version='1.0'?>" + bomb + '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>&e9;</p></body></html>'
    document_or_refusal: object
    try:
        document_or_refusal = read(tmp_path, "a.epub", epub("T", [good]))
    except UnreadableDocument as error:
        document_or_refusal = error.reason
    assert len(str(document_or_refusal)) < 10_000


@needs_docs
def test_a_pdf_whose_pages_are_their_own_parents(tmp_path: Path) -> None:
    content = GOOD["a.pdf"].replace(b"/Kids [6 0 R]", b"/Kids [2 0 R]")
    assert content != GOOD["a.pdf"]
    try:
        assert read(tmp_path, "a.pdf", content).blocks == []
    except UnreadableDocument as error:
        assert error.reason.startswith("is broken")
