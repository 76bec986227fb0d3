"""`gemlet serve` as a process of its own, and one request to it."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from typing import Any

import pytest


def started(*arguments: str, **environment: str) -> tuple["subprocess.Popen[str]", str]:
    """The process, and the address that it says."""
    command = [sys.executable, "-m", "gemlet", "serve", "--offline", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://\S+:\d+", line)
    if found is None:
        process.kill()
        pytest.fail(line + process.communicate()[1])
    return process, found[0]


def ask(address: str, path: str, body: object = None, **headers: str) -> Any:
    """What one of its routes answers."""
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(address + path, data, headers), timeout=60) as reply:
        return json.loads(reply.read())
