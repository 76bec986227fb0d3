"""Folders: what is listed and what is left out; loops end; what cannot be listed is told."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from gemlet.folders import Walk, shown
from gemlet.folders.ignore import Patterns


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return folder


def listed(folder: Path, **options: bool) -> list[str]:
    return [os.fsdecode(s.path)[len(str(folder)) + 1 :] for s in Walk(str(folder), **options).stamps()]


def test_files_come_folder_by_folder_in_order(tmp_path: Path) -> None:
    tree(tmp_path, "b.txt", "a/z.txt", "a/b/c.txt", "c.txt", "a/a.txt")
    assert listed(tmp_path) == ["b.txt", "c.txt", "a/a.txt", "a/z.txt", "a/b/c.txt"]


def test_a_stamp_is_the_files_stat_and_tells_whether_it_is_settled(tmp_path: Path) -> None:
    tree(tmp_path, "old", "young")
    os.utime(tmp_path / "old", (1000, 1000))
    old, young = Walk(str(tmp_path)).stamps()
    found = (tmp_path / "old").stat()
    assert (old.size, old.mtime_ns, old.inode) == (4, 1_000_000_000_000, found.st_ino)
    assert old.settled
    assert not young.settled
    os.utime(tmp_path / "young", (time.time() + 1, time.time() + 1))
    assert not next(s for s in Walk(str(tmp_path)).stamps() if s.path.endswith(b"young")).settled


def test_hidden_files_and_what_nobody_wrote_are_left_out(tmp_path: Path) -> None:
    tree(
        tmp_path, "a.txt", ".hidden", ".config/x", "node_modules/m/x.js", "__pycache__/x.pyc", "env/pyvenv.cfg",
        "env/lib/x.py", "cache/CACHEDIR.TAG", "cache/x", ".git/config", "sub/.git",
    )  # fmt: skip
    assert listed(tmp_path) == ["a.txt"]
    assert listed(tmp_path, hidden=True) == [".hidden", "a.txt", ".config/x"]


def test_a_root_is_taken_whatever_its_name(tmp_path: Path) -> None:
    tree(tmp_path, ".hidden/node_modules/a.txt", ".hidden/node_modules/CACHEDIR.TAG")
    (tmp_path / ".gitignore").write_text("node_modules\n.hidden/\n")
    assert listed(tmp_path / ".hidden/node_modules") == ["CACHEDIR.TAG", "a.txt"]
    (stamp,) = Walk(str(tmp_path / ".gitignore")).stamps()
    assert stamp.path == os.fsencode(tmp_path / ".gitignore")


def test_an_ignored_folder_above_the_root_does_not_empty_it(tmp_path: Path) -> None:
    tree(tmp_path, ".git/HEAD", "build/out/a.txt", "build/out/b.log")
    (tmp_path / ".gitignore").write_text("build/\n/build/out\n*.log\n")
    assert listed(tmp_path) == []
    assert listed(tmp_path / "build/out") == ["a.txt"]


def test_outside_a_repository_nothing_above_the_root_counts(tmp_path: Path) -> None:
    tree(tmp_path, "sub/a.txt")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    assert listed(tmp_path / "sub") == ["a.txt"]


def test_gemletignore_has_the_last_word_and_deeper_files_win(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "a.log", "keep.log", "sub/b.log", "sub/c.txt", "sub/deep/d.txt", "node_modules/n.js")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / ".gemletignore").write_text("!keep.log\n!node_modules/\n/sub/deep\n")
    (tmp_path / "sub" / ".gitignore").write_text("!b.log\nc.txt\n")
    assert listed(tmp_path) == ["a.txt", "keep.log", "node_modules/n.js", "sub/b.log"]


GIT_PATTERNS = """
*.o
!keep.o
/top.txt
build/
doc/*.txt
doc/**/deep.md
**/logs
a?c
[xy]z
*.tar.*
\\#odd
\\!bang
# comment
trailing\\ 
name with space
!doc/not.txt
foo/*
!foo/bar
"""


def test_patterns_mean_what_git_says_they_mean(tmp_path: Path) -> None:
    names = [
        "a.o", "keep.o", "sub/keep.o", "top.txt", "sub/top.txt", "build/x", "sub/build/y", "buildx", "doc/a.txt",
        "doc/not.txt", "doc/sub/a.txt", "doc/p/q/deep.md", "doc/deep.md", "logs/1", "sub/logs/2", "logsx", "abc", "ac",
        "xz", "wz", "x.tar.gz", "tar", "#odd", "!bang", "trailing ", "name with space", "foo/bar/1", "foo/baz",
        "foo.o/x", "comment", "a\nc", "ünïcode.o", "sub/[x", "line\nbreak.o",
    ]  # fmt: skip
    tree(tmp_path, *names)
    (tmp_path / ".gitignore").write_text(GIT_PATTERNS, encoding="utf-8")
    git = ["git", "-C", str(tmp_path)]
    try:
        subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    done = subprocess.run(
        [*git, "ls-files", "-z", "-o", "--exclude-per-directory=.gitignore"], capture_output=True, check=True
    )
    kept = {name for name in done.stdout.decode().split("\0") if name and name != ".gitignore"}
    assert set(listed(tmp_path)) == kept
    assert 10 < len(kept) < len(names)


def test_a_broken_ignore_file_is_passed_over_line_by_line(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "b.txt", "c")
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe[\n!\n\\\n///\nb.txt\n\0\n[z-a]\n!!x\n")
    assert listed(tmp_path) == ["a.txt", "c"]
    assert Patterns([]).verdict("a", False) is None


def test_links_are_followed_only_when_asked_and_loops_end(tmp_path: Path) -> None:
    tree(tmp_path, "top/a.txt", "top/sub/b.txt", "outside/c.txt")
    (tmp_path / "top/loop").symlink_to(tmp_path / "top")
    (tmp_path / "top/sub/up").symlink_to("..")
    (tmp_path / "top/self").symlink_to("self")
    (tmp_path / "top/dangling").symlink_to("nowhere")
    (tmp_path / "top/out").symlink_to(tmp_path / "outside")
    (tmp_path / "top/file").symlink_to(tmp_path / "outside/c.txt")
    assert listed(tmp_path / "top") == ["a.txt", "sub/b.txt"]
    followed = listed(tmp_path / "top", follow=True)
    assert followed == ["a.txt", "file", "out/c.txt", "sub/b.txt"]


def test_a_root_that_is_a_link_is_walked(tmp_path: Path) -> None:
    tree(tmp_path, "real/a.txt")
    (tmp_path / "link").symlink_to("real")
    assert listed(tmp_path / "link") == ["a.txt"]


def test_pipes_and_sockets_are_no_files(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")
    assert listed(tmp_path) == ["a.txt"]


def test_names_with_newlines_and_broken_utf8_are_kept_byte_by_byte(tmp_path: Path) -> None:
    odd = [b"new\nline.txt", b"\xff\xfe.txt", b"esc\x1b[31m.txt", "ü\u202e.txt".encode()]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    found = {os.path.basename(s.path) for s in Walk(str(tmp_path)).stamps()}
    assert found == set(odd)
    lines = [shown(name) for name in odd]
    assert lines == [r"new\nline.txt", r"\xff\xfe.txt", r"esc\x1b[31m.txt", "ü\\u202e.txt"]
    assert shown("/plain/Größe 日本.txt") == "/plain/Größe 日本.txt"


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/1.txt", "b/2.txt", "c/3.txt")
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walk = Walk(str(tmp_path))
    assert len(list(walk.stamps())) == 2
    assert walk.unlisted == [(str(tmp_path / "b"), "cannot be listed: Permission denied")]


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(Walk(str(tmp_path / "none")).stamps())
