"""Names of files tell nothing of the disk, lead back to one file each, and are what a served filter sees."""

import os

import pytest

from gemlet.errors import InputError
from gemlet.store.filters import Filter, path_matcher
from gemlet.store.names import names_for


def test_a_file_is_named_from_its_root() -> None:
    names = names_for(["/ann/notes", "/ann/todo.md"])
    assert names.of("/ann/notes/2026/plan.md") == "notes/2026/plan.md"
    assert names.of("/ann/todo.md") == "todo.md"


def test_a_file_of_no_root_is_named_without_its_folders() -> None:
    assert names_for(["/ann/notes"]).of("/ann/notes-old/plan.md") == "elsewhere/plan.md"


def test_roots_of_one_name_are_told_apart() -> None:
    names = names_for(["/b/notes", "/a/notes", "/c/notes-2"])
    assert [name for _, name in names.roots] == ["notes", "notes-2", "notes-2-2"]
    assert names.of("/b/notes/x") == "notes-2/x"


def test_the_outer_of_two_roots_names_a_file() -> None:
    assert names_for(["/a/notes/old", "/a/notes"]).of("/a/notes/old/x") == "notes/old/x"


def test_the_whole_disk_is_a_root_too() -> None:
    names = names_for(["/"])
    assert names.of("/etc/hosts") == "root/etc/hosts"
    assert names.path_of("root/etc/hosts") == "/etc/hosts"


def test_a_name_leads_back() -> None:
    names = names_for(["/ann/notes", "/ann/todo.md"])
    for path in ("/ann/notes/2026/plan.md", "/ann/todo.md"):
        assert names.path_of(names.of(path)) == path


def test_without_a_root_names_stand_as_they_were_given() -> None:
    names = names_for([])
    for name in ("posts.csv:17", "17", "a/b.parquet, row 3", "/ann/notes/x"):
        assert names.of(name) == name
        assert names.path_of(name) == name
    assert names.path_of("") is None
    assert names.path_of("x\0") is None
    assert path_matcher("posts.csv:*", names)(b"posts.csv:17")
    assert path_matcher("/ann/notes/", names)(b"/ann/notes/x")


@pytest.mark.parametrize(
    "name", ["notes/../secret", "../notes/x", "/ann/notes/x", "notes//x", "notes/./x", "notes/x\0", "", "other/x"]
)
def test_a_name_that_leads_out_is_no_path(name: str) -> None:
    assert names_for(["/ann/notes"]).path_of(name) is None


def test_what_is_not_printable_is_escaped() -> None:
    assert names_for(["/a/notes"]).of("/a/notes/line\nbreak" + os.fsdecode(b"\xff")) == r"notes/line\nbreak\xff"


@pytest.mark.parametrize(
    ("glob", "found"),
    [("*.md", True), ("notes/", True), ("/notes/2026/", True), ("ann/", False), ("/home/", False), ("~/notes", False)],
)
def test_a_served_pattern_sees_names_and_not_the_disk(glob: str, found: bool) -> None:
    names = names_for(["/ann/notes"])
    assert path_matcher(glob, names)(b"/ann/notes/2026/plan.md") is found


def test_a_filter_with_names_alone_lets_everything_through() -> None:
    assert Filter(names=names_for(["/a"])).is_open()
    assert not Filter("*.md", names=names_for(["/a"])).is_open()


def test_what_is_no_pattern_is_a_mistake() -> None:
    with pytest.raises(InputError, match="is no pattern"):
        path_matcher("\\")
