"""Source code → blocks along definitions, with the grammars of the extra and without."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemlet.documents import Document, grammar, read_document

PYTHON = '''"""Module."""
import os

X = 1

# about f
@decorated
def f(a):
    def inner():
        pass

    return """
def no_definition():
"""


class C(Base):
    """Doc."""

    y = 2

    def m(self):
        pass

    z = 3

if X:
    pass
'''


@pytest.fixture(params=["grammar", "without"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "grammar":
        pytest.importorskip("tree_sitter")
        pytest.importorskip("tree_sitter_python")
    else:
        monkeypatch.setitem(sys.modules, "tree_sitter", None)
    grammar._language.cache_clear()
    yield request.param
    grammar._language.cache_clear()


def read(folder: Path, name: str, text: str) -> Document:
    path = folder / name
    path.write_text(text)
    return read_document(path)


def definitions(document: Document) -> list[tuple[int, int, str | None]]:
    return [(block.line, block.level, block.name) for block in document.blocks if block.level]


def test_python_is_cut_at_its_definitions(tmp_path: Path, way: str) -> None:
    document = read(tmp_path, "a.py", PYTHON)
    found = definitions(document)
    if way == "without":  # indentation alone takes a string's lines for code
        found.remove((13, 1, "no_definition"))
    assert found == [(6, 1, "f"), (17, 1, "C"), (22, 2, "m"), (25, 2, None), (27, 1, None)]
    assert document.language == "python"


def test_every_line_of_code_is_in_a_block_where_it_stands(tmp_path: Path, way: str) -> None:
    lines = PYTHON.split("\n")
    document = read(tmp_path, "a.py", PYTHON)
    seen = {}
    for block in document.blocks:
        for place, text in enumerate(block.text.split("\n"), block.line):
            seen[place] = text
    assert seen == {place: text for place, text in enumerate(lines, 1) if text.strip()}


OTHERS = {
    "a.js": ("export class A {\n  m() {}\n}\nconst f = async () => {\n};\nfunction g() {}\nlet x = 1;\n",
             [(1, 1, "A"), (2, 2, "m"), (4, 1, "f"), (6, 1, "g"), (7, 1, None)]),
    "a.ts": ("interface I {\n  a: number\n}\nexport enum E {\n  A\n}\nabstract class B {\n  f(): void {}\n}\n",
             [(1, 1, "I"), (4, 1, "E"), (7, 1, "B"), (8, 2, "f")]),
    "a.tsx": ("export default function App() {\n  return <div/>;\n}\n", [(1, 1, "App")]),
    "a.go": ("package p\n\n// F does.\nfunc F() {}\n\nfunc (t *T) M() {}\n\ntype T struct {\n}\n",
             [(3, 1, "F"), (6, 1, "M"), (8, 1, "T")]),
    "a.rs": ("use a;\n\n/// doc\n#[derive(X)]\npub struct S {\n}\n\nimpl S {\n    fn m(&self) {}\n}\n",
             [(3, 1, "S"), (8, 1, "S"), (9, 2, "m")]),
    "a.java": ("package p;\n\n/** doc */\npublic class A {\n  int x;\n  public A() {}\n  void m() {}\n}\n",
               [(3, 1, "A"), (6, 2, "A"), (7, 2, "m")]),
    "a.c": ("#include <a.h>\n\nint *f(int a) {\n}\n\n\n\nstruct s {\n  int a;\n};\n#ifdef X\nvoid g() {}\n#endif\n",
            [(3, 1, "f"), (8, 1, "s"), (12, 1, "g")]),
    "a.cpp": ("namespace n {\ntemplate <class T>\nclass A {\n  void m() {}\n};\n}\nvoid n::A::f() {\n}\n",
              [(1, 1, "n"), (2, 2, "A"), (4, 3, "m"), (7, 1, "n::A::f")]),
    "a.cs": ("namespace N {\n  class A {\n    void M() {}\n    int P { get; }\n  }\n}\n",
             [(1, 1, "N"), (2, 2, "A"), (3, 3, "M"), (4, 3, "P")]),
    "a.rb": ("module M\n  class A\n    def m\n    end\n  end\nend\n", [(1, 1, "M"), (2, 2, "A"), (3, 3, "m")]),
    "a.php": ("<?php\nclass A {\n  function m() {}\n}\nfunction f() {}\n", [(2, 1, "A"), (3, 2, "m"), (5, 1, "f")]),
    "a.sh": ("set -e\nf() {\n  echo\n}\nf\n", [(2, 1, "f"), (5, 1, None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_languages_are_cut_by_their_grammars(tmp_path: Path, name: str) -> None:
    pytest.importorskip("tree_sitter")
    text, expected = OTHERS[name]
    document = read(tmp_path, name, text)
    pytest.importorskip(grammar._GRAMMARS[document.language or ""].module)
    assert definitions(document) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.kt", "package p\n\ndata class A(\n)\n\nfun f() {\n}\n", [(3, 1, "A"), (6, 1, "f")]),
        ("a.sql", "-- all\nCREATE TABLE people (\n);\n\nselect 1;\n", [(1, 1, "people")]),
        ("a.lua", "local function f()\nend\n", [(1, 1, "f")]),
    ],
)
def test_languages_without_a_grammar_are_cut_where_it_looks_like_a_definition(
    tmp_path: Path, name: str, text: str, expected: list[tuple[int, int, str]]
) -> None:
    assert definitions(read(tmp_path, name, text)) == expected


def test_minified_code_is_left_alone(tmp_path: Path) -> None:
    document = read(tmp_path, "a.js", "function a(){}" * 1000)
    assert definitions(document) == []
    assert len(document.blocks) == 1
