"""The parts an application is made of: its own default task, pages and families of routes beside those there are."""

import numpy as np
import pytest
from serving import rows, serving

from gemlet import Embedder, UnknownPrompt
from gemlet.server import Answer, Call, Dialect, Problem, Route, Settings, app
from gemlet.server.dialects import DIALECTS
from gemlet.server.dialects.ollama import OllamaError

KEY = "0123456789abcdef-key"


def test_a_default_task_is_for_texts_without_one_and_without_a_prompt(tiny: Embedder) -> None:
    prompted = tiny.prompts["query"] + "x"
    with serving(tiny, Settings(name="tiny", task="document")) as served:
        for text, named, wanted in [
            ("x", {}, tiny.encode_document("x")),
            ("x", {"prompt_name": "query"}, tiny.encode_query("x")),
            ("x", {"prompt_name": "none"}, tiny.encode("x")),
            (prompted, {}, tiny.encode(prompted)),
        ]:
            assert np.array_equal(rows(served.post("/embed", {"inputs": text, **named}))[0], wanted)
    with pytest.raises(UnknownPrompt):
        app(tiny, Settings(task="poem"))


def test_pages_and_routes_of_ones_own(tiny: Embedder) -> None:
    async def page(call: Call, _: None) -> Answer:
        call.headers["content-security-policy"] = "default-src 'self'"
        return Answer(b"for people")

    async def count(call: Call, _: None) -> dict[str, int]:
        return {"names": len(call.service.names)}

    async def refuse(_: Call, __: None) -> Answer:
        raise Problem("invalid", "no")

    routes = [
        Route("GET", "/own/count", count, None, dict[str, int], "Counts names.", open=True),
        Route("GET", "/own/refuse", refuse, None, None, "Refuses."),
    ]
    own = Dialect("own", "/own", routes, OllamaError, lambda problem: OllamaError(problem.message))
    settings = Settings(name="tiny", keys=(KEY,))
    with serving(
        tiny, settings, dialects=(*DIALECTS, own), pages=[Route("GET", "/", page, None, None, "A page.")]
    ) as served:
        key = {"authorization": f"Bearer {KEY}"}
        reply = served.ask("GET", "/", None, key)
        assert (reply.body, reply.headers["content-security-policy"]) == (b"for people", "default-src 'self'")
        assert served.ask("POST", "/", {"inputs": "x"}, key).status == 200  # the page has GET only
        assert served.get("/own/count") == {"names": 1}
        assert served.ask("GET", "/own/refuse").status == 401
        assert served.ask("GET", "/own/refuse", None, key).json == {"error": "no"}
        assert served.ask("GET", "/own/nowhere", None, key).json["error"].startswith("there is no such path")
        document = served.ask("GET", "/openapi.json", None, key).json
        assert document["paths"]["/own/refuse"]["get"]["security"] == [{"key": []}]
        assert "security" not in document["paths"]["/own/count"]["get"]


def test_head_is_get_without_a_body(tiny: Embedder) -> None:
    with serving(tiny) as served:
        reply = served.ask("HEAD", "/info")
        assert (reply.status, reply.body) == (200, b"")
        assert int(reply.headers["content-length"]) > 100
