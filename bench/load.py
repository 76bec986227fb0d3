"""The same load by wrk, a generator that takes next to nothing of the machine.   (server, texts → figures)"""

import base64
import itertools
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from crowd import SIZES
from servers import PATH, TIMEOUT, Server, Vectors

SCRIPT = Path(__file__).with_name("load.lua")
BEGIN = 60  # base64 characters of an answer that are compared: 11 numbers, which no two texts have alike


def load(
    server: Server,
    texts: Sequence[str],
    tokens: npt.NDArray[np.int64],
    wanted: Callable[[list[int]], Vectors],
    connections: int,
    seconds: float,
) -> dict[str, Any]:
    """Ask by so many connections for so long.

    wanted  gives the vectors of rows, whose bits our own answers must have; another server's are only counted

    Returns requests, texts, tokens, wrong texts, refused and lost requests, broken connections, seconds, p50_ms and
    p99_ms. Raises SystemExit where there is no wrk.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        file.write_text("".join(_lines(server, texts, tokens, wanted)), encoding="utf-8")
        command = [
            "wrk",
            f"-t{connections}",
            f"-c{connections}",
            f"-d{round(seconds)}s",
            f"--timeout={round(TIMEOUT)}s",
        ]
        command += ["-s", str(SCRIPT), server.url, "--", str(file), urlsplit(server.url).path.rstrip("/") + PATH]
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            raise SystemExit("there is no wrk: apt install wrk") from None
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    under_way = connections + 1  # at the end; and one that wrk makes at the beginning and does not send
    return found | {"lost": max(0, found["asked"] - found["requests"] - under_way)}


def _lines(
    server: Server, texts: Sequence[str], tokens: npt.NDArray[np.int64], wanted: Callable[[list[int]], Vectors]
) -> Iterator[str]:
    sizes, at = itertools.cycle(SIZES), 0
    while at < len(texts):
        rows = list(range(at, min(at + next(sizes), len(texts))))
        at = rows[-1] + 1
        body = msgspec.json.encode(server.asked([texts[row] for row in rows])).decode()
        begins = []
        if server.ours:
            begins = [base64.b64encode(row.tobytes()).decode()[:BEGIN] for row in wanted(rows)]
        cells = [body, str(sum(int(tokens[row]) for row in rows)), str(len(rows)), *begins]
        yield "\t".join(cells) + "\n"
