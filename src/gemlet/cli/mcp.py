"""`gemlet mcp`: the index for other programs' models, on stdio."""

from typing import Any

import click

from gemlet.cli.finding import index_options, open_index, writer_for, writer_options

EPILOG = """\b
Examples:
  gemlet mcp
  gemlet mcp --index ~/notes.gemlet --llm-url http://127.0.0.1:11434
\b
In a client's settings:
  {"mcpServers": {"gemlet": {"command": "gemlet", "args": ["mcp"]}}}
\b
Four tools: search, read_passage, ask, index_status. They only read, and only
what is in the index. Without --llm and --llm-url `ask` quotes sentences.
"""


@click.command(epilog=EPILOG)
@writer_options
@index_options
def command(llm: str | None, llm_url: str | None, llm_remote: bool, **rest: Any) -> None:
    """Serve the index over the Model Context Protocol, on stdin and stdout."""
    from gemlet.mcp import make_server

    writer = writer_for(llm, llm_url, llm_remote) if llm or llm_url else None
    with open_index(**rest) as index:
        index.store.size()  # an index that is not there is told now, not to the client
        make_server(index, writer).run("stdio")
