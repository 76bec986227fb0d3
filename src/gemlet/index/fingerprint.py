"""What an index was made with, and whether that is what is asked for.   (model → fingerprint)"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gemlet.checkpoint import Checkpoint
from gemlet.errors import StoreMismatch
from gemlet.passages import CHUNKER
from gemlet.pretrained import known_digest
from gemlet.prompts import document_prompts

Fingerprint = dict[str, Any]

ROWS = "rows"
"""In the chunker's place where a store holds rows of tables, and no files; more may follow."""

_ANEW = "or make it anew with `gemlet index --rebuild`"
_CURES = {
    "model": f"take that model with --model, another index with --index, {_ANEW}",
    "quantization": f"take that with --quantization, another index with --index, {_ANEW}",
    "dim": f"leave --dim out, take another index with --index, {_ANEW}",
    "prompt": f"take the gemlet that made it, {_ANEW}",
    "chunker": f"take the gemlet that made it, {_ANEW}",
}
_OF_ROWS = "it holds rows of tables: take another index with --index, or another place with --store"


def fingerprint(digest: str, quantization: str, dim: int) -> Fingerprint:
    """All that a vector depends on, besides the text."""
    return {
        "model": digest,
        "quantization": quantization,
        "dim": dim,
        "prompt": document_prompts(["{title}"], 1)[0],
        "chunker": CHUNKER,
    }


def check(path: Path | str, stored: str, asked: Fingerprint) -> None:
    """Raise StoreMismatch, with the cure, unless the index at `path` was made with what is asked for."""
    made = json.loads(stored)
    for key, cure in _CURES.items():
        if key in asked and made.get(key) != asked[key]:
            cure = _OF_ROWS if key == "chunker" and holds_rows(stored) else cure
            raise StoreMismatch(str(path), key, _short(asked[key]), _short(made.get(key)), cure)


def holds_rows(stored: str) -> bool:
    """Whether a store of this fingerprint holds rows of tables, which no folder has."""
    return str(json.loads(stored).get("chunker")).startswith(ROWS)


def model_digest(checkpoint: Checkpoint, remembered: str | None) -> tuple[str, str]:
    """(SHA-256 of the weights that the checkpoint was made from, what to remember it by).

    A file that gemlet quantised names them; of a folder that gemlet fetched they are known; any other file is read,
    once for as long as its size and time stay what they were: `remembered` is what the last call gave.
    """
    path = Path(checkpoint.weights[0][0])
    if checkpoint.gguf is not None and (source := checkpoint.gguf.metadata.get("gemlet.source_sha256")):
        return str(source), ""
    found = path.stat()
    facts = [os.fspath(path), found.st_size, found.st_mtime_ns]
    if remembered and (known := json.loads(remembered))[:-1] == facts:
        return str(known[-1]), remembered
    digest = known_digest(path.parent, path.name)
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, json.dumps([*facts, digest])


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
