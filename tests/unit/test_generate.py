"""A model that writes is heard piece by piece; what is no answer is an error in one line, and never a hang."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from fake_llm import Llm, begin_events, says, send_bytes, send_event, send_json, serve

from gemlet.errors import GenerationError, InputError, MissingExtra
from gemlet.generate import GgufWriter, ServerWriter, Timeouts, find_writer
from gemlet.generate.events import ANSWER_LIMIT

ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Größe?"}]
QUICK = Timeouts(first=0.3, next=0.3)


def written(answer: Any, **options: Any) -> str:
    with serve(Llm(answer)) as llm:
        return "".join(ServerWriter(llm.url, "small", timeouts=QUICK, **options).write(ASKED))


def test_an_answer_comes_in_pieces_as_they_are_written() -> None:
    with serve(Llm(says("Über", " 2", " m [1]."))) as llm:
        writer = ServerWriter(llm.url + "/v1/")
        assert list(writer.write(ASKED, max_tokens=7)) == ["Über", " 2", " m [1]."]
        request = llm.requests[0]
    assert request["messages"] == ASKED
    assert (request["model"], request["max_tokens"], request["stream"]) == ("small", 7, True)
    assert llm.paths == ["/v1/models", "/v1/chat/completions"]


def test_the_first_piece_does_not_wait_for_the_last() -> None:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        send_event(handler, "first")
        time.sleep(0.2)
        send_event(handler, "last")

    with serve(Llm(answer)) as llm:
        pieces = ServerWriter(llm.url, "small").write(ASKED)
        begin = time.monotonic()
        assert next(pieces) == "first"
        assert time.monotonic() - begin < 0.15
        assert list(pieces) == ["last"]


def test_leaving_an_answer_closes_the_connection() -> None:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        for _ in range(1000):
            send_event(handler, "word " * 1000)
            time.sleep(0.002)

    with serve(Llm(answer)) as llm:
        pieces = ServerWriter(llm.url, "small").write(ASKED)
        next(pieces)
        pieces.close()
        assert llm.left_early.wait(5)


def test_a_server_that_does_not_stream_is_read_whole() -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "All at once."}}]}
    assert written(lambda handler, _: send_json(handler, whole)) == "All at once."


def test_events_may_come_in_any_cut_and_with_carriage_returns() -> None:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        for byte in 'data: {"choices":[{"delta":{"content":"é[1]"}}]}\r\n\r\ndata:[DONE]\r\n'.encode():
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()

    assert written(answer) == "é[1]"


def test_a_model_without_a_template_continues_plain_text() -> None:
    def answer(handler: Any, body: dict[str, Any]) -> None:
        begin_events(handler)
        assert body["prompt"].endswith("Größe?\n\nAnswer:")
        handler.wfile.write(b'data: {"choices": [{"text": " two"}]}\n\n')

    assert written(answer, chat=False) == " two"


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        (["<think>", "hm, ", "two?</thi", "nk>\n\n", "Two."], "Two."),
        (["<th", "e> is a tag"], "<the> is a tag"),
        (["a <think> later"], "a <think> later"),
        (["<think>never an end"], ""),
        (["<thi"], "<thi"),
        ([" Two", "."], " Two."),
    ],
)
def test_thoughts_before_the_answer_are_left_out(pieces: list[str], left: str) -> None:
    assert written(says(*pieces)) == left


def test_reasoning_in_a_field_of_its_own_is_left_out() -> None:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        handler.wfile.write(
            b'data: {"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"hm"}}]}\n\n'
        )
        send_event(handler, "Two.")

    assert written(answer) == "Two."


def events(*lines: bytes) -> Any:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        for line in lines:
            handler.wfile.write(line + b"\n\n")

    return answer


def hang(handler: Any, _: Any) -> None:
    time.sleep(1)


def hang_within(handler: Any, _: Any) -> None:
    begin_events(handler)
    send_event(handler, "One ")
    time.sleep(1)


def drip(handler: Any, _: Any) -> None:
    begin_events(handler)
    for _ in range(100):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda h, _: send_json(h, {"error": {"message": "no such model,\npull it"}}, 404), "404, no such model, pull"),
        (lambda h, _: send_json(h, {"error": "busy"}, 503), "503, busy"),
        (lambda h, _: send_json(h, ["no"], 500), "500"),
        (lambda h, _: send_bytes(h, b"<html>" + b"x" * 9999, 502), "502, <html>xxx"),
        (lambda h, _: send_bytes(h, b"<html>hello</html>"), "answered with text/html"),
        (lambda h, _: send_bytes(h, b"[" * 100_000, 200, "application/json"), "sends what is no answer"),
        (lambda h, _: send_bytes(h, b"\xff\xfe{", 200, "application/json"), "sends what is no answer"),
        (events(b"data: {oops"), "sends what is no answer: {oops"),
        (events(b"data: [1]"), "sends what is no answer"),
        (events(b'data: {"error": {"message": "out of memory"}}'), "stopped: out of memory"),
        (events(b"data: " + b"x" * (3 << 20)), "a line without an end"),
        (hang, "gave no answer in time"),
        (hang_within, "gave no answer in time"),
        (drip, "gave no answer in time"),
        (lambda h, _: h.connection.shutdown(socket.SHUT_RDWR), "broke off"),
        (lambda h, _: h.wfile.write(b"garbage\r\n\r\n"), "broke off"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_in_one_line(answer: Any, said: str) -> None:
    begin = time.monotonic()
    with pytest.raises(GenerationError) as caught:
        written(answer)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.where
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("choice", [None, [], ["text"], {}, [{"delta": None}], [{"delta": {"content": 3}}]])
def test_an_event_without_text_is_nothing(choice: Any) -> None:
    def answer(handler: Any, _: Any) -> None:
        import json

        begin_events(handler)
        handler.wfile.write(b"data: " + json.dumps({"choices": choice}).encode() + b"\n\n")
        send_event(handler, "Two.")

    assert written(answer) == "Two."


def test_an_answer_without_an_end_is_left() -> None:
    def answer(handler: Any, _: Any) -> None:
        begin_events(handler)
        while True:
            send_event(handler, "again " * 2000)

    assert ANSWER_LIMIT < len(written(answer)) < 2 * ANSWER_LIMIT


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(GenerationError, match=f"no server answers at http://127.0.0.1:{port}: start it"):
        list(ServerWriter(f"127.0.0.1:{port}", "small").write(ASKED))


@pytest.mark.parametrize("models", [{"data": [{"id": "all-minilm"}]}, {"data": None}, {"data": []}])
def test_a_server_without_a_model_that_writes_says_so(models: Any) -> None:
    with serve(Llm(says("x"), models)) as llm, pytest.raises(GenerationError, match="no model that writes"):
        list(ServerWriter(llm.url).write(ASKED))


@pytest.mark.parametrize("models", [[], "x", {"models": []}, {"data": [1]}, {"data": {"a": 1}}, None])
def test_another_kind_of_server_is_not_taken_for_one(models: Any) -> None:
    with serve(Llm(says("x"), models)) as llm:
        port = int(llm.url.rsplit(":", 1)[1])
        assert find_writer([port]) is None
        assert "/v1/chat/completions" not in llm.paths


def test_the_first_server_that_has_a_model_is_found() -> None:
    with serve(Llm(says("x"), {"data": []})) as empty, serve(Llm(says("x"))) as full:
        ports = [int(llm.url.rsplit(":", 1)[1]) for llm in (empty, full)]
        found = find_writer([1, *ports])
        assert found is not None
        assert (found.url, found.name) == (full.url, "small")


@pytest.mark.parametrize(
    "url", ["http://example.com:11434", "https://192.0.2.7/v1", "10.0.0.1:80", "http://localhost.evil.test"]
)
def test_passages_do_not_leave_the_machine_unasked(url: str) -> None:
    with pytest.raises(InputError, match="not this machine"):
        ServerWriter(url)
    ServerWriter(url, remote=True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no address"):
        ServerWriter(url)


def test_a_key_is_sent_as_a_bearer_token() -> None:
    heard = []

    def answer(handler: Any, _: Any) -> None:
        heard.append(handler.headers["Authorization"])
        says("x")(handler, _)

    written(answer, key="secret")
    assert heard == ["Bearer secret"]


def test_a_file_that_is_none_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        GgufWriter(tmp_path / "none.gguf")


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 64)
    with pytest.raises((GenerationError, MissingExtra), match=r"cannot be run|gemlet\[rag\]"):
        GgufWriter(path)
