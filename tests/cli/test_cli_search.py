"""`gemlet search` and `gemlet ask` as a user meets them: on a terminal, in a pipe, as JSON; failures in one line."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from fake_llm import Llm, says, serve

from gemlet import Embedder
from gemlet.index import Index

FILES = {
    b"notes/lease.md": "# Lease\n\nThe lease ends in March. The landlord repairs the roof.\n",
    b"notes/copy.md": "# Lease\n\nThe lease ends in March. The landlord repairs the roof.\n",
    b"code/read.py": "import os\n\n\ndef zyzzyva(path):\n    return open(path)\n",
    b"odd\nname.txt": "An odd name has this xylophone\x1b[31m file.\n",
    b"bad\xff.txt": "Bytes that are no UTF-8 name this glockenspiel.\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny: Embedder, tiny_checkpoint: Path) -> Path:
    """A folder with files/ and index.db."""
    folder = tmp_path_factory.mktemp("cli-search")
    for name, text in FILES.items():
        path = os.fsencode(folder / "files") + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode())
    with Index(folder / "index.db", model=str(tiny_checkpoint)) as index:
        index.update([folder / "files"])
    return folder


def run(place: Path, verb: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "gemlet", verb, "--index", str(place / "index.db"), *arguments]
    names = {"GEMLET_LLM", "GEMLET_LLM_URL", "GEMLET_LLM_KEY"}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(command, capture_output=True, cwd=place / "files", env={**clean, **env})
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def test_a_pipe_gets_a_line_for_each_hit(place: Path) -> None:
    done = run(place, "search", "--keyword", "landlord", "zyzzyva")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "code/read.py:4:def zyzzyva(path):",
        "notes/copy.md:3:The landlord repairs the roof.",
    ]
    assert done.stderr == b""


def test_a_terminal_gets_places_titles_and_the_sentence_in_bold(place: Path) -> None:
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "gemlet",
        "search",
        "--index",
        str(place / "index.db"),
        "--min",
        "0",
        "-k",
        "9",
        "roof",
    ]
    subprocess.run(command, stdout=follower, check=True, cwd=place / "files", env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    out = b""
    while True:
        try:
            out += os.read(leader, 65536)
        except OSError:
            break
        if b"odd" in out and b"lease" in out and b"zyzzyva" in out and b"\xff" in out:
            break
    os.close(leader)
    assert b"\x1b[1mThe landlord repairs the roof.\x1b[0m" in out
    assert b"also: notes/lease.md" in out
    assert b"Lease" in out
    assert b"%" in out
    assert b"\x1b[31m" not in out  # a file cannot colour the terminal


def test_no_color_is_respected_and_a_pipe_has_none(place: Path) -> None:
    assert b"\x1b" not in run(place, "search", "--pretty", "--min", "0", "roof").stdout


def test_a_names_bytes_come_out_as_they_are_and_its_line_breaks_do_not(place: Path) -> None:
    done = run(place, "search", "--keyword", "xylophone", "glockenspiel")
    assert sorted(line.split(b":")[0] for line in done.stdout.splitlines()) == [b"bad\xff.txt", b"odd\\nname.txt"]


def test_json_has_everything_and_reads_back(place: Path) -> None:
    done = run(place, "search", "--json", "--explain", "--min", "0", "-k", "9", "landlord")
    value = json.loads(done.stdout)
    assert (value["query"], value["mode"], value["task"], value["passages"]) == ("landlord", "hybrid", "query", 4)
    rows = {os.path.basename(row["path"]): row for row in value["hits"]}
    assert set(rows) == {"copy.md", "read.py", "odd\nname.txt", "bad\udcff.txt"}
    row = rows["copy.md"]
    assert row["sentence"] == "The landlord repairs the roof."
    assert row["snippet"][slice(*row["marked"])] == row["sentence"]
    assert [os.path.basename(path) for path in row["also"]] == ["lease.md"]
    assert row["words"] == ["landlord"]
    assert row["keyword_rank"] == 1
    assert 0 <= row["probability"] <= 1
    assert "cosine" not in json.loads(run(place, "search", "--json", "landlord").stdout)["hits"][0]


def test_nothing_is_said_so_with_the_nearest_and_an_exit_code(place: Path) -> None:
    done = run(place, "search", "--min", "1", "harpsichord")
    assert done.returncode == 4
    assert done.stdout == b""
    assert done.stderr.startswith(b"gemlet: nothing matches well among 4 passages; the nearest is ")
    assert done.stderr.count(b"\n") == 1
    json_done = run(place, "search", "--json", "--min", "1", "harpsichord")
    assert (json_done.returncode, json.loads(json_done.stdout)["hits"]) == (4, [])
    assert run(place, "search", "--keyword", "harpsichord").stderr == b"gemlet: nothing matches well among 4 passages\n"
    pretty = run(place, "search", "--pretty", "--min", "1", "harpsichord")
    assert (pretty.returncode, pretty.stderr) == (4, done.stderr)
    assert 1 <= pretty.stdout.decode(errors="replace").count("%") <= 3


def test_explain_says_why(place: Path) -> None:
    done = run(place, "search", "--pretty", "--explain", "--min", "0", "landlord")
    assert b"cosine 0." in done.stdout or b"cosine -0." in done.stdout
    assert b"number 1 by words" in done.stdout
    assert b"holds landlord" in done.stdout


def test_filters_and_tasks(place: Path) -> None:
    def paths(*arguments: str) -> list[bytes]:
        done = run(place, "search", "--min", "0", "lease", *arguments)
        return [line.split(b":")[0] for line in done.stdout.splitlines()]

    assert paths("--path", "code/") == [b"code/read.py"]
    assert paths("--kind", "markdown") == [b"notes/copy.md"]
    assert paths("--language", "python") == [b"code/read.py"]
    assert paths("--after", "2999-01-01") == []
    assert len(paths("--before", "2999-01-01")) == 4
    assert len(paths("--after", "1h")) == 4
    assert len(paths("--code")) == len(paths("--qa")) == len(paths("--fact")) == len(paths("--task", "clustering")) == 4


def test_more_like_a_file(place: Path) -> None:
    done = run(place, "search", "--like", "notes/lease.md")
    assert len(done.stdout.splitlines()) == 3
    assert b"lease.md" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "the query is empty"),
        (["--after", "soon", "x"], 2, "--after 'soon' is no date"),
        (["--task", "riddles", "x"], 2, "no prompt is named 'riddles'"),
        (["--qa", "--task", "query", "x"], 2, "leave --task out"),
        (["--like", "none.txt"], 2, "there is no file none.txt"),
        (["--index", "none.db", "x"], 1, "there is no index"),
        (["--index", "code/read.py", "x"], 1, "read.py"),
        (["-k", "0", "x"], 2, "0 is not in the range"),
    ],
)
def test_a_mistake_is_one_line(place: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(place, "search", *arguments)
    assert done.returncode == code
    assert said in done.stderr.decode()


def test_ask_quotes_without_a_model(place: Path) -> None:
    done = run(place, "ask", "--quote", "--min", "0", "who repairs the roof")
    assert done.returncode == 0
    out = done.stdout.decode("utf-8", "surrogateescape")
    assert "“" in out.split("\n\n")[0]
    assert "[1] " in out.split("\n\n")[1]


def test_ask_streams_what_a_server_writes(place: Path) -> None:
    with serve(Llm(says("The landlord [1].", " Or [2]."))) as llm:
        done = run(place, "ask", "--llm-url", llm.url, "--min", "0", "who repairs the roof")
        answer, sources = done.stdout.split(b"\n\n")
        assert answer == b"The landlord [1]. Or [2]."
        assert [line[:3] for line in sources.splitlines()] == [b"[1]", b"[2]"]
        again = run(
            place, "ask", "--json", "--min", "0", "who repairs the roof", GEMLET_LLM_URL=llm.url, GEMLET_LLM="big"
        )
        value = json.loads(again.stdout)
        assert (value["answer"], value["cited"], value["refused"], value["written_by"]) == (
            "The landlord [1]. Or [2].", [1, 2], False, "big",
        )  # fmt: skip
        assert len(value["sources"]) == 4


def test_ask_refuses_and_asks_no_model(place: Path) -> None:
    with serve(Llm(says("made up"))) as llm:
        done = run(place, "ask", "--llm-url", llm.url, "--min", "1", "harpsichord")
        assert done.returncode == 4
        assert done.stdout.startswith(b"Nothing in the index answers this.\n")
        assert llm.paths == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--llm-url", "http://127.0.0.1:1"], 1, "no server answers at http://127.0.0.1:1"),
        (["--llm-url", "http://192.0.2.1"], 2, "not this machine"),
        (["--llm", "none.gguf"], 2, "there is no file none.gguf"),
    ],
)
def test_a_writer_that_is_not_there_is_one_line(place: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(place, "ask", "--min", "0", *arguments, "who repairs the roof")
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
