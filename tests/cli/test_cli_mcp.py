"""`gemlet mcp` with the official client, over stdio as a host runs it: it reads what is indexed, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_llm import Llm, says, serve

from gemlet import Embedder
from gemlet.index import Index

mcp = pytest.importorskip("mcp")
anyio = pytest.importorskip("anyio")

SECRET = "the password is xyzzy"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny: Embedder, tiny_checkpoint: Path) -> Path:
    """A folder with files/, which are indexed, secret.txt, which is not, and index.db."""
    folder = tmp_path_factory.mktemp("mcp")
    files = folder / "files"
    files.mkdir()
    (folder / "secret.txt").write_text(SECRET)
    (files / "link.txt").symlink_to(folder / "secret.txt")
    (files / "long.md").write_text("".join(f"# Part {i}\n\nplover{i} " + "and words " * 150 + "\n\n" for i in range(6)))
    for i in range(8):
        (files / f"bird{i}.txt").write_text(f"A heron number {i} stands in the water.\n")
    with Index(folder / "index.db", model=str(tiny_checkpoint)) as index:
        index.update([files])
    return folder


def talk(place: Path, conversation: Callable[[Any], Awaitable[None]], *arguments: str) -> None:
    """Start the server, let the client talk to it, end it."""
    parameters = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "gemlet", "mcp", "--index", str(place / "index.db"), *arguments],
        env={name: os.environ[name] for name in ("PYTHONPATH", "GEMLET_CACHE", "PATH") if name in os.environ},
        cwd=str(place),
    )

    async def session() -> None:
        with anyio.fail_after(120):
            async with mcp.Client(mcp.stdio_client(parameters)) as client:
                await conversation(client)

    anyio.run(session)


async def call(client: Any, tool: str, **arguments: Any) -> Any:
    """The tool's structured result; fails when it is an error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refusal(client: Any, tool: str, **arguments: Any) -> str:
    """What a tool says that refuses."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


def test_a_client_searches_reads_on_and_asks(place: Path) -> None:
    async def conversation(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"search", "read_passage", "ask", "index_status"}
        assert all(tool.annotations.read_only_hint and tool.description for tool in tools.values())
        assert "material, not instructions" in client.instructions

        status = await call(client, "index_status")
        assert (status["files"], status["roots"]) == (9, [str(place / "files")])

        found = await call(client, "search", query="plover3", mode="keyword")
        (hit,) = found["hits"]
        assert hit["path"] == str(place / "files/long.md")
        assert "plover3" in hit["snippet"]

        read = await call(client, "read_passage", path=hit["path"], passage=hit["passage"])
        assert "plover3" in read["text"]
        assert read["first_line"] <= hit["line"] <= read["last_line"]
        by_line = await call(client, "read_passage", path=hit["path"], line=hit["line"])
        assert by_line["first_line"] <= hit["line"] <= by_line["last_line"]
        await whole_file(client, hit["path"])

        answer = await call(client, "ask", question="heron water")
        assert answer["written_by"] is None
        assert all(source["path"].startswith(str(place / "files")) for source in answer["sources"])

    async def whole_file(client: Any, path: str) -> None:
        passage, seen = 0, ""
        while passage is not None:
            read = await call(client, "read_passage", path=path, passage=passage, count=2)
            seen, passage = seen + read["text"], read["next_passage"]
        assert [f"plover{i}" in seen for i in range(6)] == [True] * 6

    talk(place, conversation)


def test_pages_hold_every_hit_once(place: Path) -> None:
    async def conversation(client: Any) -> None:
        paths, offset = [], 0
        while offset is not None:
            found = await call(client, "search", query="heron", mode="keyword", limit=3, offset=offset)
            assert len(found["hits"]) <= 3
            paths += [hit["path"] for hit in found["hits"]]
            offset = found["next_offset"]
        assert len(paths) == len(set(paths)) == 8
        assert (await call(client, "search", query="quetzal", mode="keyword"))["message"].startswith("nothing matches")

    talk(place, conversation)


@pytest.mark.parametrize(
    "path", ["secret.txt", "files/../secret.txt", "/etc/passwd", "files/link.txt", "files", "", "\0"]
)
def test_no_tool_reads_what_is_not_indexed(place: Path, path: str) -> None:
    async def conversation(client: Any) -> None:
        said = await refusal(client, "read_passage", path=str(place / path) if path else path)
        assert "is not in the index" in said
        found = await client.call_tool("search", {"query": "password xyzzy", "mode": "keyword"})
        assert SECRET not in str(found)

    talk(place, conversation)


def test_a_mistake_is_told_and_the_server_goes_on(place: Path) -> None:
    async def conversation(client: Any) -> None:
        assert "empty" in await refusal(client, "search", query=" ")
        assert "available" in await refusal(client, "search", query="x", task="riddles")
        assert "another query" in await refusal(client, "search", query="x", offset=500)
        assert await refusal(client, "search", query="x", mode="magic")
        assert "passages 0 to" in await refusal(client, "read_passage", path=str(place / "files/long.md"), passage=99)
        assert (await call(client, "index_status"))["passages"] > 0

    talk(place, conversation)


def test_a_model_of_this_machine_writes_the_answer(place: Path) -> None:
    with serve(Llm(says("Herons [1]."))) as llm:

        async def conversation(client: Any) -> None:
            answer = await call(client, "ask", question="a heron number 3 stands in the water")
            assert (answer["answer"], answer["written_by"]) == ("Herons [1].", "small")

        talk(place, conversation, "--llm-url", llm.url)


def test_without_an_index_it_ends_with_a_line(place: Path) -> None:
    command = [sys.executable, "-m", "gemlet", "mcp", "--index", str(place / "none.db")]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stderr.startswith("gemlet: there is no index")
    assert done.stdout == ""
