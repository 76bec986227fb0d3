"""Documents → passages: nothing is lost, nothing is too long, everything is where it says."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemlet import Embedder
from gemlet.documents import Block, Document, read_document
from gemlet.errors import InputError
from gemlet.passages import Passage, sentences, split


def words(texts: Sequence[str]) -> list[int]:
    """A tokenizer of tests: words, and what <bos> and <eos> add to every text."""
    return [len(text.split()) + 2 for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def bytes_and_more(texts: Sequence[str]) -> list[int]:
    """More tokens for a whole than for its parts together, which no sum of parts foresees."""
    return [len(text.encode()) + text.count(" ") ** 2 // 16 for text in texts]


def squeezed(texts: Sequence[str]) -> str:
    return "".join("".join(text.split()) for text in texts)


def prose(paragraphs: Sequence[str], title: str | None = None) -> Document:
    return Document("text", None, title, [Block(text, 1 + 2 * place) for place, text in enumerate(paragraphs)])


def sentence(number: int, length: int = 10) -> str:
    return " ".join([f"S{number}"] + ["word"] * (length - 1)) + "."


def read(folder: Path, name: str, text: str, tokens: int = 48) -> list[Passage]:
    path = folder / name
    path.write_text(text)
    return split(read_document(path), words, tokens=tokens)


# --- what always holds ---

TEXTS = st.text(st.sampled_from("ab .\n\t。é数😀#`|-:x"), max_size=400)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            Block, TEXTS.map(lambda text: text.strip() or "x"), st.integers(1, 9), st.none() | st.integers(1, 3),
            st.sampled_from(["heading", "paragraph", "code", "row"]), st.integers(0, 3),
            st.none() | st.text("N ", min_size=1),
        ),
        max_size=20,
    ),
    st.sampled_from([words, characters, bytes_and_more]),
    st.integers(32, 90),
)  # fmt: skip
def test_every_character_is_in_a_passage_and_none_is_too_long(blocks: list[Block], count: object, tokens: int) -> None:
    document = Document("text", None, "Title", blocks)
    passages = split(document, count, tokens=tokens)
    assert squeezed([passage.text for passage in passages]) == squeezed([block.text for block in blocks])
    assert all(number <= tokens for number in count([passage.text for passage in passages]))
    assert all(passage.text.strip() for passage in passages)


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.sampled_from("ab .\n#-=`~ \tdefclass:|,"), max_size=600),
    st.sampled_from(["txt", "md", "rst", "py", "kt", "org"]),
)
def test_lines_are_those_of_the_file(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"lines.{suffix}"
    path.write_text(text, newline="\n")
    lines = text.split("\n")
    last = 0
    for passage in split(read_document(path), words, tokens=32):
        shown = passage.text.split("\n")
        assert shown[0].strip() in lines[passage.first_line - 1]
        assert shown[-1].strip() in lines[passage.last_line - 1]
        assert last <= passage.first_line <= passage.last_line
        last = passage.last_line


def test_the_models_own_tokens_count(tiny: Embedder) -> None:
    text = " ".join(sentence(number) for number in range(300))
    passages = split(prose([text]), tiny.count_tokens, tokens=256)
    counts = tiny.count_tokens([passage.text for passage in passages])
    assert counts.max() <= 256
    assert counts.min() > 100
    assert squeezed([passage.text for passage in passages]) == squeezed([text])


def test_tokens_are_counted_in_batches() -> None:
    calls = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return words(texts)

    split(prose([sentence(number) for number in range(3000)]), count, tokens=64)
    assert len(calls) <= 4


# --- what stays together ---


def test_a_document_that_fits_is_one_passage() -> None:
    document = prose(["one two", "three"], title="T")
    assert split(document, words, tokens=32) == [Passage("one two\n\nthree", "T", 1, 3, None)]


def test_a_document_without_text_has_no_passages() -> None:
    assert split(Document("text", None, "T", []), words) == []


def test_parts_of_a_long_text_are_about_equal() -> None:
    text = " ".join(sentence(number) for number in range(100))
    counts = words([passage.text for passage in split(prose([text]), words, tokens=96)])
    assert max(counts) <= 96
    assert min(counts) > 0.7 * max(counts)


def test_a_cut_is_between_paragraphs_rather_than_inside_of_one() -> None:
    paragraphs = [" ".join(sentence(10 * p + s) for s in range(3)) for p in range(12)]
    for passage in split(prose(paragraphs), words, tokens=100):
        assert all(part in paragraphs for part in passage.text.split("\n\n"))


def test_a_cut_inside_of_a_paragraph_is_between_sentences() -> None:
    text = " ".join(sentence(number) for number in range(50))
    for passage in split(prose([text]), words, tokens=64):
        assert passage.text.startswith("S")
        assert passage.text.endswith(".")


def test_a_word_longer_than_a_passage_is_cut() -> None:
    passages = split(prose(["x" * 1000]), characters, tokens=100)
    assert all(len(passage.text) <= 100 for passage in passages)
    assert squeezed([passage.text for passage in passages]) == "x" * 1000


def section(name: str, size: int, level: int = 2) -> str:
    return f"{'#' * level} {name}\n\n" + " ".join(f"{name.lower()}{n}" for n in range(size)) + "\n\n"


def test_sections_stay_whole_and_have_their_headings_as_title(tmp_path: Path) -> None:
    text = "# Guide\n\n" + section("Install", 30) + section("Windows", 30, 3) + section("Use", 30)
    passages = read(tmp_path, "a.md", text)
    assert [passage.title for passage in passages] == ["Guide > Install", "Guide > Install > Windows", "Guide > Use"]
    assert [passage.text.split("\n")[0] for passage in passages] == ["# Guide", "### Windows", "## Use"]
    assert [(passage.first_line, passage.last_line) for passage in passages] == [(1, 5), (7, 9), (11, 13)]


def test_small_sections_are_put_together(tmp_path: Path) -> None:
    passages = read(tmp_path, "a.md", "# Guide\n\n" + "".join(section(f"Part{n}", 3) for n in range(20)))
    assert 4 <= len(passages) <= 8
    assert {passage.title for passage in passages} == {"Guide"}


def test_a_heading_is_never_alone_at_the_end(tmp_path: Path) -> None:
    text = "# Guide\n\n" + "".join(section(f"Part{n}", 20 + 3 * n) for n in range(12))
    for passage in read(tmp_path, "a.md", text):
        assert not passage.text.split("\n")[-1].startswith("#")


def test_a_long_section_goes_on_under_its_title(tmp_path: Path) -> None:
    passages = read(tmp_path, "a.md", section("Short", 20, 1) + section("Long", 200, 1))
    assert [passage.title for passage in passages[1:]] == ["Long"] * (len(passages) - 1)


def test_long_names_are_cut(tmp_path: Path) -> None:
    (passage,) = read(tmp_path, "a.md", "# " + "a" * 300 + "\n\n" + "b", tokens=32)
    assert passage.title == "a" * 99 + "…"


BODY = "    x = 1\n" * 8
METHOD = "    def {}(self):\n" + "        y = 1\n" * 8
PYTHON = f"import os\n\n\ndef first():\n{BODY}\nclass A:\n{BODY}\n{METHOD.format('m')}\n{METHOD.format('n')}"


def test_code_is_cut_along_definitions(tmp_path: Path) -> None:
    passages = read(tmp_path, "a.py", PYTHON, tokens=40)
    assert [passage.text.strip().split("\n")[0] for passage in passages] == [
        "import os", "class A:", "def m(self):", "def n(self):",
    ]  # fmt: skip
    assert [passage.title for passage in passages] == [None, None, "A", "A"]


def test_what_goes_on_in_a_definition_has_its_name(tmp_path: Path) -> None:
    passages = read(tmp_path, "a.py", "class A:\n    def m(self):\n" + "        x = 1\n\n" * 40, tokens=40)
    assert {passage.title for passage in passages[1:]} == {"A > m"}


def test_rows_of_a_table_are_not_torn(tmp_path: Path) -> None:
    table = "| a | b |\n|---|---|\n" + "".join(f"| left{n} | right{n} |\n" for n in range(60))
    for passage in read(tmp_path, "a.md", table):
        assert all(line.startswith("|") and line.endswith("|") for line in passage.text.split("\n"))


def test_line_breaks_are_those_of_the_file() -> None:
    blocks = [Block("a", 1), Block("b", 2), Block("c", 4), Block("d", 9), Block("same line", 9), Block("e", 5000)]
    text = split(Document("text", None, None, blocks), words)[0].text
    assert text == "a\nb\n\nc\n\n\n\n\nd\n\nsame line" + "\n" * 31 + "e"


def test_the_page_is_the_one_it_begins_on() -> None:
    blocks = [Block(sentence(n, 30), n, page=n) for n in range(1, 5)]
    passages = split(Document("pdf", None, None, blocks), words, tokens=48)
    assert [passage.page for passage in passages] == [1, 2, 3, 4]


def test_an_overlap_is_the_sentences_before() -> None:
    text = " ".join(sentence(number) for number in range(60))
    passages = split(prose([text]), words, tokens=96, overlap=25)
    assert max(words([passage.text for passage in passages])) <= 96
    for one, two in pairwise(passages):
        shared = [part for part in one.text.split(". ") if part in two.text]
        assert 1 <= len(shared) <= 2


@pytest.mark.parametrize("options", [{"tokens": 31}, {"overlap": -1}, {"tokens": 64, "overlap": 40}])
def test_options_out_of_bounds(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="pass 32 or more"):
        split(prose(["x"]), words, **options)


# --- sentences ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Who met J. R. R. Tolkien in Fig. 3. He left.", ["Dr. Who met J. R. R. Tolkien in Fig. 3.", "He left."]),
        ("It costs 3.14 dollars. Visit a.b.org now.", ["It costs 3.14 dollars.", "Visit a.b.org now."]),
        ('"Really?" "Yes."  (So be it.) End', ['"Really?"', '"Yes."', "(So be it.)", "End"]),
        ("Wait... what? No way!!! Yes", ["Wait...", "what?", "No way!!!", "Yes"]),
        ("今天天气很好。我们去公园吧！「好的。」他说。", ["今天天气很好。", "我们去公园吧！", "「好的。」", "他说。"]),
        ("これは本です。あれは？", ["これは本です。", "あれは？"]),
        ("هل أنت بخير؟ نعم. أنا بخير", ["هل أنت بخير؟", "نعم.", "أنا بخير"]),
        ("یہ کتاب ہے۔ وہ قلم ہے۔", ["یہ کتاب ہے۔", "وہ قلم ہے۔"]),
        ("यह किताब है। वह कलम है॥ अंत", ["यह किताब है।", "वह कलम है॥", "अंत"]),
        ("Սա գիրք է։ Վերջ։", ["Սա գիրք է։", "Վերջ։"]),
        ("ይህ መጽሐፍ ነው። እሺ", ["ይህ መጽሐፍ ነው።", "እሺ"]),
        ("ဒါစာအုပ်ပါ။ ဟုတ်ကဲ့။", ["ဒါစာအုပ်ပါ။", "ဟုတ်ကဲ့။"]),
        ("Это книга. В 2020 г. она вышла. Конец.", ["Это книга.", "В 2020 г. она вышла.", "Конец."]),
        ("Das ist z.B. ein Satz. Noch einer.", ["Das ist z.B. ein Satz.", "Noch einer."]),
        (
            "Title without stop\n\nNext paragraph\nwrapped line.",
            ["Title without stop", "Next paragraph\nwrapped line."],
        ),
        ("List:\n- one\n- two\n1. three", ["List:", "- one", "- two", "1. three"]),
        ("", []),
        (" \n ", []),
        ("...", ["..."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    found = [text[begin:end] for begin, end in sentences(text)]
    assert found == expected


@given(st.text(st.sampled_from("ab .!?\n。！\"')-|1"), max_size=200))
def test_sentences_are_everything_but_white_space(text: str) -> None:
    spans = sentences(text)
    assert squeezed([text[begin:end] for begin, end in spans]) == squeezed([text])
    assert all(begin < end for begin, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
