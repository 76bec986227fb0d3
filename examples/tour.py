"""Index this project's documents and some of Python's standard library, ask, and write docs/tour.md with what was said.

    python examples/tour.py [FILE, default docs/tour.md]

Every command runs as a reader would run it, on a terminal of 100 columns, and its output goes into the page as it is.
"""

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["textwrap.py", "graphlib.py", "difflib.py", "json"]  # of the standard library
COLUMNS = "100"

INTRODUCTION = f"""\
# A tour

This page is written by `python examples/tour.py`. It copies this project's own documents and a few modules of Python's
standard library ({", ".join(name.removesuffix(".py") for name in MODULES)}) into a folder `library`, and runs each
command there. Nothing is typed by hand but the questions.
"""

STEPS = [
    ("Index a folder. A second run has nothing to do.", "gemlet index library"),
    ("", "gemlet index library"),
    ("Ask in your own words, of the documents ...", 'gemlet search "how much memory does it take" -k 2'),
    ("", 'gemlet search "what happens to the index when the disk is full or the process is killed" -k 2'),
    ("", 'gemlet search "make the model file smaller" -k 2'),
    ("", 'gemlet search "does it run on an ARM processor" -k 2'),
    ("... in another language ...", 'gemlet search "Welche Dateien werden nicht gelesen?" -k 2'),
    ("... or of the code.", 'gemlet search --code "break a paragraph into lines of a given width" -k 2'),
    ("", 'gemlet search --code "find strings that are similar to a misspelled word" -k 2'),
    ("", 'gemlet search --code "sort tasks so that each comes after those it depends on" -k 2'),
    ("", 'gemlet search --code "how NaN and infinity are written" --path "json/" -k 2'),
    ("What is not there is not found.", 'gemlet search "how do I bake a chocolate cake" -k 1'),
    ("Without a language model, `ask` quotes.", 'gemlet ask --quote "how are texts of more than 2,048 tokens treated"'),
]  # fmt: skip

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


def main() -> None:
    """Write the page, whole or not at all."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "tour.md"
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "library")
        page = "\n".join([INTRODUCTION, *(part for words, line in STEPS for part in step(words, line, folder))])
    target.write_text(page + "\n", encoding="utf-8")
    print(f"{target} is written")


def fill(library: Path) -> None:
    """Copy what is to be searched."""
    (library / "docs").mkdir(parents=True)
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, library)
    for path in sorted((ROOT / "docs" / "concepts").glob("*.md")):
        shutil.copy(path, library / "docs")
    standard = Path(sysconfig.get_path("stdlib"))
    for name in MODULES:
        if (standard / name).is_dir():
            shutil.copytree(standard / name, library / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(standard / name, library)


def step(words: str, line: str, folder: str) -> Iterator[str]:
    """The Markdown of one command."""
    print(f"$ {line}", flush=True)
    if words:
        yield f"{words}\n"
    yield f"```console\n$ {line}\n{run(line, folder)}\n```\n"


def run(line: str, folder: str) -> str:
    """What a command says on a terminal, without the colours."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", *shlex.split(line)]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env=os.environ | {"COLUMNS": COLUMNS, "TERM": "xterm", "GEMLET_INDEX": f"{folder}/index.db"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    with suppress(OSError):  # how a terminal ends on Linux
        while data := os.read(ours, 1 << 16):
            said += data
    os.close(ours)
    if process.wait() not in (0, 4):  # 4: nothing matches
        raise SystemExit(f"{line} failed:\n{said.decode()}")
    text = _ESCAPES.sub("", said.decode("utf-8")).replace("\r\n", "\n").replace(f"{folder}/", "")
    lines = [part.rsplit("\r", 1)[-1].rstrip() for part in text.split("\n")]
    return "\n".join(lines).strip("\n")


if __name__ == "__main__":
    main()
