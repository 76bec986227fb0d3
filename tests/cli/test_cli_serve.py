"""`gemlet serve`: what it says, what it refuses, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from serve_process import ask, started

pytest.importorskip("msgspec")
pytest.importorskip("uvicorn")
pytest.importorskip("httptools")

KEY = "0123456789abcdef-key"


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "gemlet", "serve", "--offline", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_it_serves_logs_and_ends(tiny_checkpoint: Path) -> None:
    options = ("--model", str(tiny_checkpoint), "--port", "0", "--name", "mine", "--alias", "other", "--task", "query")
    process, address = started(*options, GEMLET_KEY=KEY)
    key = {"Authorization": f"Bearer {KEY}"}
    listed = ask(address, "/v1/models", **key)
    assert [model["id"] for model in listed["data"]] == ["mine", "other", "mine:query", "mine:document"]
    plain = ask(address, "/v1/embeddings", {"input": "a heron", "model": "other"}, **key)
    asked = ask(address, "/v1/embeddings", {"input": "a heron", "task": "query"}, **key)
    assert plain["data"] == asked["data"]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert [json.loads(line)["status"] for line in log.splitlines()] == [200, 200, 200]
    assert "heron" not in log
    assert process.returncode in (0, -signal.SIGTERM)


def test_a_file_of_keys(tiny_checkpoint: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# of the laptop\n{KEY}\n\n")
    options = ("--model", str(tiny_checkpoint), "--port", "0", "--quiet", "--key-file", str(keys))
    process, address = started(*options, "--host", "0.0.0.0")
    assert ask(address.replace("0.0.0.0", "127.0.0.1"), "/info", Authorization=f"Bearer {KEY}")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert (process.returncode, log) == (0, "")


def test_what_it_refuses(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = ("--model", str(tiny_checkpoint))
    code, message = refused("--host", "0.0.0.0", *model)
    assert (code, message.count("\n")) == (2, 1)
    assert "--key-file" in message
    assert "--no-key-on-a-public-address" in message
    code, message = refused(*model, GEMLET_KEY="short")
    assert (code, "at least 16" in message) == (2, True)
    empty = tmp_path / "empty"
    empty.write_text("# none\n")
    code, message = refused("--key-file", str(empty), *model)
    assert (code, "has no key" in message) == (2, True)
    code, message = refused("--key-file", str(tmp_path / "missing"), *model)
    assert (code, "cannot read the keys" in message) == (2, True)
    code, message = refused("--task", "poem", *model)
    assert (code, "no prompt is named 'poem'" in message) == (2, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, message = refused("--port", str(taken.getsockname()[1]), *model)
    assert (code, "cannot listen on 127.0.0.1 port" in message) == (2, True)


def test_an_index_is_served_with_the_page(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "sea.md").write_text("The sea is blue.", encoding="utf-8")
    index = tmp_path / "mine.db"
    made = [sys.executable, "-m", "gemlet", "index", "--model", str(tiny_checkpoint), "--index", str(index)]
    subprocess.run([*made, str(tmp_path / "notes")], check=True, capture_output=True, timeout=120)
    process, address = started("--model", str(tiny_checkpoint), "--port", "0", "--quiet", "--index", str(index))
    found = ask(address, "/gemlet/search", {"query": "sea", "min_probability": 0})
    assert [hit["path"] for hit in found["hits"]] == ["notes/sea.md"]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60) as reply:
        assert b"<title>gemlet</title>" in reply.read()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert {path.name for path in tmp_path.glob("mine.db*")} <= {"mine.db", "mine.db.lock", "mine.db.scan"}


def test_an_index_that_cannot_be_served_is_told_in_a_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = ("--model", str(tiny_checkpoint), "--port", "0")
    code, said = refused(*model, "--index", str(tmp_path / "none.db"))
    assert (code, "there is no index" in said) == (1, True)
    (tmp_path / "text.db").write_text("no index" * 1000, encoding="utf-8")
    code, said = refused(*model, "--index", str(tmp_path / "text.db"))
    assert (code, said.count("\n")) == (1, 1)
