"""Files → blocks: kinds, encodings, and where everything stands."""

import json
from pathlib import Path

import pytest

from gemlet.documents import Block, Document, Limits, kind_of, read_document
from gemlet.errors import UnreadableDocument


def read(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path)


def shown(document: Document) -> list[tuple[int, str, str]]:
    return [(block.line, block.kind, block.text) for block in document.blocks]


def headings(document: Document) -> list[tuple[int, int, str | None]]:
    return [(block.line, block.level, block.name) for block in document.blocks if block.level]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text"), ("A.TXT", "text"), ("a.rst", "text"), ("a.md", "markdown"), ("a.py", "code"),
        ("a.CPP", "code"), ("Makefile", "code"), ("Dockerfile", "code"), ("a.csv", "csv"), ("a.tsv", "csv"),
        ("a.ipynb", "notebook"),
        ("a.pdf", "pdf"), ("a.docx", "office"), ("a.ods", "office"), ("a.epub", "ebook"), ("a.html", "html"),
        ("a.eml", "mail"), ("a.mbox", "mail"), ("a.unknown", None), ("README", None), (".md", None), ("", None),
    ],
)  # fmt: skip
def test_the_name_says_the_kind(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("content", "kind", "language"),
    [
        (b"just words", "text", None),
        (b"#!/usr/bin/env python3\nprint()", "code", "python"),
        (b"#!/bin/sh\necho", "code", "bash"),
        (b"<!DOCTYPE html><p>x", "html", None),
        (b"From a@b Mon\nFrom: a\nSubject: s\n\nx", "mail", None),
    ],
)
def test_without_a_name_the_contents_say_it(tmp_path: Path, content: bytes, kind: str, language: str | None) -> None:
    document = read(tmp_path, "file", content)
    assert (document.kind, document.language) == (kind, language)


# --- encodings ---


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Größe 数据 😀"),
        ("utf-8-sig", "Größe 数据"),
        ("utf-16", "Größe 数据"),
        ("utf-32", "Größe 数据"),
        ("cp1252", "Größe – “so”"),
        ("latin-1", "Größe"),
    ],
)
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    assert read(tmp_path, "a.txt", text.encode(encoding)).blocks == [Block(text, 1)]


def test_a_declared_encoding_is_believed(tmp_path: Path) -> None:
    cookie = "# -*- coding: shift_jis -*-\n# データ\n"
    assert "データ" in read(tmp_path, "a.py", cookie.encode("shift_jis")).blocks[0].text
    page = '<meta charset="koi8-r"><p>данные'
    assert read(tmp_path, "a.html", page.encode("koi8-r")).blocks[0].text == "данные"


def test_a_few_broken_bytes_do_not_make_utf8_another_encoding(tmp_path: Path) -> None:
    broken = "Größe und Länge für Überprüfung".encode() + b"\xff end"
    assert read(tmp_path, "a.txt", broken).blocks[0].text == "Größe und Länge für Überprüfung\ufffd end"


def test_every_newline_counts_as_editors_count_it(tmp_path: Path) -> None:
    document = read(tmp_path, "a.txt", b"one\r\n\r\ntwo\r\rthree\n\nfour\x0bstill\xe2\x80\xa8still")
    assert [(block.line, block.text) for block in document.blocks] == [
        (1, "one"), (3, "two"), (5, "three"), (7, "four\x0bstill\u2028still"),
    ]  # fmt: skip


# --- plain text ---


def test_paragraphs_know_their_lines(tmp_path: Path) -> None:
    document = read(tmp_path, "a.txt", "\n\n  first\nline \n \t\n\nsecond\n")
    assert shown(document) == [(3, "paragraph", "  first\nline"), (7, "paragraph", "second")]
    assert document.title is None


def test_underlined_titles_are_levels_in_the_order_they_come(tmp_path: Path) -> None:
    text = "=====\nTitle\n=====\n\nPart\n====\n\ntext\n\nSub\n---\n\nPart 2\n======\nx\n\nno\nheading\n-------\n"
    document = read(tmp_path, "a.rst", text)
    assert headings(document) == [(2, 1, "Title"), (5, 2, "Part"), (10, 3, "Sub"), (13, 2, "Part 2")]
    assert document.title == "Title"


def test_a_peps_header_is_its_title(tmp_path: Path) -> None:
    pep = "PEP: 20\nTitle: The Zen of Python\nAuthor: Tim Peters\n  <tim>\n\nAbstract\n========\n\nLong time.\n"
    document = read(tmp_path, "pep-0020.rst", pep)
    assert document.title == "PEP 20 – The Zen of Python"
    assert headings(document) == [(6, 1, "Abstract")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tex", "x\n\n\\section{One}\n\\subsection*{Two}\ny"),
        ("a.org", "x\n\n* One\n** Two\ny"),
        ("a.adoc", "x\n\n= One\n== Two\ny"),
    ],
)
def test_other_markups_have_headings_too(tmp_path: Path, name: str, text: str) -> None:
    found = headings(read(tmp_path, name, text))
    assert [(line, title) for line, _, title in found] == [(3, "One"), (4, "Two")]
    assert found[0][1] < found[1][1]


# --- Markdown ---

MARKDOWN = """---
title: "From the front"
tags: [a]
---
# One *two* `three`

para
line

Setext
------
```python
# no heading

x = 1
```
### [Link](http://x) {#id} ###
- item
~~~
open"""


def test_markdown_has_front_matter_headings_and_fenced_code(tmp_path: Path) -> None:
    document = read(tmp_path, "a.md", MARKDOWN)
    assert document.title == "From the front"
    assert shown(document) == [
        (2, "paragraph", 'title: "From the front"\ntags: [a]'),
        (5, "heading", "# One *two* `three`"),
        (7, "paragraph", "para\nline"),
        (10, "heading", "Setext"),
        (12, "code", "```python\n# no heading\n\nx = 1\n```"),
        (17, "heading", "### [Link](http://x) {#id} ###"),
        (18, "paragraph", "- item"),
        (19, "code", "~~~\nopen"),
    ]
    assert headings(document) == [(5, 1, "One two three"), (10, 2, "Setext"), (17, 3, "Link")]


def test_the_first_heading_is_the_title_only_if_none_is_above_it(tmp_path: Path) -> None:
    assert read(tmp_path, "a.md", "# A\n## B").title == "A"
    assert read(tmp_path, "a.md", "## B\n# A").title is None
    assert read(tmp_path, "a.md", "--- \nno end\n# A").title == "A"
    assert read(tmp_path, "a.md", "no heading").title is None


# --- tables ---


def test_rows_carry_their_header_and_know_their_lines(tmp_path: Path) -> None:
    text = 'Name,Age,Note\n"Ann, the first",31,"two\nlines ""quoted"""\n\nBob,,x,spare\n'
    assert shown(read(tmp_path, "a.csv", text)) == [
        (1, "row", "Name, Age, Note"),
        (2, "row", 'Name: Ann, the first, Age: 31, Note: two\nlines "quoted"'),
        (5, "row", "Name: Bob, Note: x, spare"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    rows = [["City", "Price, net"], ["Rome", "1,5"], ["Köln", "2,5"]]
    text = "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows)
    texts = [block.text for block in read(tmp_path, "a.csv", text).blocks]
    assert texts[1:] == ["City: Rome, Price, net: 1,5", "City: Köln, Price, net: 2,5"]


def test_numbers_are_no_header(tmp_path: Path) -> None:
    assert [block.text for block in read(tmp_path, "a.tsv", "1\t2\n3\t4\n").blocks] == ["1, 2", "3, 4"]


@pytest.mark.parametrize("text", ["only\none\ncolumn", 'a,"never closed\n' + "x" * 200_000])
def test_what_is_no_table_is_read_as_text(tmp_path: Path, text: str) -> None:
    document = read(tmp_path, "a.csv", text)
    assert [block.kind for block in document.blocks] == ["paragraph"]
    assert document.blocks[0].text == text


# --- notebooks ---


def test_a_notebooks_cells_follow_each_other(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "\n", "text"]},
        {"cell_type": "code", "source": "\nx = 1\nprint(x)\n", "outputs": [{"data": "left out"}]},
        {"cell_type": "raw", "source": "raw"},
        {"cell_type": "code", "source": []},
    ]
    content = {"cells": cells, "metadata": {"kernelspec": {"language": "Python"}}, "nbformat": 4}
    document = read(tmp_path, "a.ipynb", json.dumps(content))
    assert (document.title, document.language) == ("Study", "python")
    assert shown(document) == [
        (1, "heading", "# Study"),
        (3, "paragraph", "text"),
        (6, "code", "x = 1\nprint(x)"),
        (9, "paragraph", "raw"),
    ]


# --- HTML ---

PAGE = """<!DOCTYPE html>
<html><head><title>A &amp; B</title>
<style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
<body><nav><a href="x">Home</a></nav>
<h1 class="a > b">Head<b>ing</b></h1>
<p>Some <i>text</i>
 goes on.<br>New line &lt;kept&gt;
<!-- <p>comment</p> -->
<ul><li>one<li>two</ul>
<pre>
  a  b
    c</pre>
<table><tr><th>Name<th>Age</tr><tr><td><p>Ann</p></td><td>31</td></tr></table>
3 < 4 is true
</body></html>"""


def test_html_gives_what_a_reader_sees(tmp_path: Path) -> None:
    document = read(tmp_path, "a.html", PAGE)
    assert document.title == "A & B"
    assert shown(document) == [
        (5, "heading", "Heading"),
        (6, "paragraph", "Some text goes on.\nNew line <kept>"),
        (9, "paragraph", "one"),
        (9, "paragraph", "two"),
        (11, "code", "  a  b\n    c"),
        (13, "row", "Name | Age"),
        (13, "row", "Ann | 31"),
        (14, "paragraph", "3 < 4 is true"),
    ]


# --- mail ---

MAIL = """From: =?utf-8?q?Gr=C3=B6=C3=9Fe?= <g@example.org>
To: you@example.org
Subject: =?utf-8?b?UHJlaXNl?= of
 today
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: multipart/alternative; boundary="c"

--c
Content-Type: text/html; charset=utf-8

<p>The HTML</p>
--c
Content-Type: text/plain; charset=utf-8

The plain text.

Second paragraph.
--c--
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename="prices.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjcK
--b--
"""


def test_a_mail_is_who_when_what_and_the_plain_text(tmp_path: Path) -> None:
    document = read(tmp_path, "a.eml", MAIL)
    assert document.title == "Preise of today"
    assert [(block.line, block.text) for block in document.blocks] == [
        (1, "From: Größe <g@example.org>\nTo: you@example.org\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
            "Subject: Preise of today"),
        (19, "The plain text."),
        (21, "Second paragraph."),
        (1, "Attachment: prices.pdf"),
    ]  # fmt: skip


def test_an_mbox_has_a_section_for_each_message(tmp_path: Path) -> None:
    one = "From a@b Mon Jan 1\nFrom: a@b\nSubject: First\n\nHello.\nFrom here on it goes.\n\n"
    document = read(tmp_path, "a.mbox", one + one.replace("First", "Second"))
    assert document.title is None
    assert headings(document) == [(1, 1, "First"), (8, 1, "Second")]
    assert [block.line for block in document.blocks if not block.level] == [5, 12]


# --- limits ---


def test_limits_on_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * 2048)
    with pytest.raises(UnreadableDocument, match=r"a.txt: has 2.0 kB, more than the limit of 1.0 kB$") as caught:
        read_document(path, limits=Limits(text_bytes=1024))
    assert (caught.value.path, caught.value.reason) == (str(path), "has 2.0 kB, more than the limit of 1.0 kB")
    with pytest.raises(UnreadableDocument):
        read_document(path, limits=Limits(file_bytes=1024))
    assert read_document(path, limits=Limits(text_bytes=2048)).blocks
