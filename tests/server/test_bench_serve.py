"""bench/serve.py runs, and sees answers that are not a text's own."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import Served

import serve
from crowd import Crowd, write
from gemlet import Embedder
from load import load
from servers import OURS, Connection, Server, rival

TEXTS = write(40, longest=20)


@pytest.fixture(scope="module")
def asked(served: Served) -> Crowd:
    found = Crowd(Server("tiny", served.url), TEXTS)
    found.ask(8, 0.3)
    return found


@pytest.mark.parametrize("exact", [True, False])
def test_answers_that_were_swapped_are_counted(tiny: Embedder, asked: Crowd, exact: bool) -> None:
    vectors = tiny.encode(TEXTS)
    assert (asked.differ, asked.refused) == (0, {})
    assert asked.wrong(lambda rows: vectors[rows], exact=exact) == 0
    swapped = Crowd(Server("swaps", ""), TEXTS)
    one, other = sorted(asked.answers)[:2]
    swapped.answers = {**asked.answers, one: asked.answers[other], other: asked.answers[one]}
    assert swapped.wrong(lambda rows: vectors[rows], exact=exact) == 2


def test_an_answer_that_is_another_the_second_time(asked: Crowd) -> None:
    changed = Crowd(Server("changes", ""), TEXTS)
    changed._begin = 0.0
    changed._keep([1], np.ones((1, 4), np.float32), 0.1)
    changed._keep([1], np.ones((1, 4), np.float32), 0.1)
    assert changed.differ == 0
    changed._keep([1], np.zeros((1, 4), np.float32), 0.1)
    assert changed.differ == 1


def test_what_a_server_refuses_is_counted(served: Served) -> None:
    found = Crowd(Server("tiny", served.url, model="another"), TEXTS)
    found.ask(2, 0.2)
    assert found.answers == {}
    assert found.refused[404] >= 2


needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="apt install wrk")


@needs_wrk
def test_answers_to_wrk_that_are_not_the_librarys_are_counted(served: Served, tiny: Embedder) -> None:
    vectors, tokens = tiny.encode(TEXTS), tiny.count_tokens(TEXTS)
    server = Server(OURS, served.url)
    found = load(server, TEXTS, tokens, lambda rows: vectors[rows], 4, 1)
    assert found["texts"] > found["requests"] > 100
    assert (found["wrong"], found["refused"], found["broken"], found["lost"]) == (0, 0, 0, 0)
    other = vectors.copy()
    other[:20] = vectors[20:]
    found = load(server, TEXTS, tokens, lambda rows: other[rows], 4, 1)
    assert 0 < found["wrong"] < found["texts"]


@needs_wrk
def test_what_a_server_refuses_wrk_is_counted(served: Served, tiny: Embedder) -> None:
    found = load(Server("tiny", served.url, model="another"), TEXTS, tiny.count_tokens(TEXTS), tiny.encode, 4, 1)
    assert found["refused"] == found["requests"] > 100
    assert found["texts"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads times and memory from /proc")
@pytest.mark.parametrize("more", [[], pytest.param(["--wrk"], marks=needs_wrk)])
def test_a_whole_run_beside_a_rival(
    more: list[str],
    served: Served,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(serve, "RESULT", tmp_path / "results" / "serve.json")
    options = ["--rounds", "1", "--seconds", "1", "--queries", "4", "--longest", "20", "--connections", "4", *more]
    monkeypatch.setattr(
        sys, "argv", ["serve.py", "--model", str(tiny_checkpoint), "--rival", f"tiny={served.url},model=tiny", *options]
    )
    serve.main()
    out = capsys.readouterr().out
    names = [line.split(" | ")[0] for line in out.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    assert names == ["| library", "| gemlet", "| tiny"] * 2
    assert serve.RESULT.exists()


def test_rivals_as_they_are_told() -> None:
    assert rival("llama=http://a:1") == Server("llama", "http://a:1")
    assert rival("o=http://a:1/x,model=m:latest,pid=7") == Server("o", "http://a:1/x", "m:latest", 7)


def test_a_rival_that_does_not_run() -> None:
    with pytest.raises(SystemExit, match="tei: nothing listens at "):
        Connection(rival("tei=http://127.0.0.1:9"))
