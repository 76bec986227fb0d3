"""The process that reads PDF, Office and the like: paths in, text out. No file can hurt more than this process.

request   one line of JSON on stdin: {"path", "mime", "memory_bytes"}
reply     8 bytes of length, little endian, then JSON: {"title", "pages", "nodes"} or {"error"}
pages     of a PDF: the text of each, as its lines stand; else none
nodes     [kind, text or rows of cells, level, page] in reading order; of a PDF the headings only

Started by isolation.py, as a script: it imports nothing of gemlet.
"""

import io
import json
import os
import sys
import threading
import time
import zipfile
from typing import Any

PAGE_MARK = "\ue0a7page "
"""Before the number of a slide, in a paragraph of its own; private use, so that no text has it."""

_UNPACKED_BYTES = 2 << 30
_PDF = "application/pdf"
_KINDS = {"heading": "heading", "title": "heading", "code": "code", "table": "row"}


def main() -> None:
    """Answer requests until stdin closes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who then closes stdin
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    for line in sys.stdin.buffer:
        reply = json.dumps(_answer(json.loads(line))).encode("ascii")
        replies.write(len(reply).to_bytes(8, "little") + reply)
        replies.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    _limit_memory(request["memory_bytes"])
    path = os.fsencode(request["path"])
    try:
        import kreuzberg

        with open(path, "rb") as file:
            data = file.read()
        _look_inside(data, request["mime"])
        return _extract(kreuzberg, data, request["mime"])
    except _Refused as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # whatever a library raises for a file is that file's fault
        return {"error": _reason(error)}


class _Refused(Exception):
    """Why, in the words that the user reads."""


def _look_inside(data: bytes, mime: str) -> None:
    """Refuse what is encrypted or a bomb before any library opens it."""
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") and "openxml" in mime:
        raise _Refused("is encrypted, or an old Office file with a new file's name: save it anew without a password")
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OverflowError, UnicodeDecodeError) as error:
            raise _Refused(f"is broken: {str(error) or 'not a whole zip file'}") from error
        if any(entry.flag_bits & 1 for entry in entries):
            raise _Refused("is encrypted: save it without a password")
        size = sum(entry.file_size for entry in entries)
        if size > _UNPACKED_BYTES:
            raise _Refused(f"unpacks to {size / (1 << 30):.1f} GB: a zip bomb?")


def _extract(kreuzberg: Any, data: bytes, mime: str) -> dict[str, Any]:
    slides = "presentation" in mime or "powerpoint" in mime
    pages: dict[str, Any] = {"extract_pages": mime == _PDF}
    if slides:
        pages |= {"insert_page_markers": True, "marker_format": f"\n\n{PAGE_MARK}{{page_num}}\n\n"}
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        enable_quality_processing=False,
        include_document_structure=True,
        output_format="plain" if slides else "markdown",  # of slides, only plain text has the notes
        pages=kreuzberg.PageConfig(**pages),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    result = kreuzberg.extract_bytes_sync(data, mime, config)
    nodes = (result.document or {}).get("nodes") or []
    title = result.metadata.get("title") if isinstance(result.metadata, dict) else None
    found = [entry for node in nodes if (entry := _entry(node)) is not None]
    if mime == _PDF:
        texts = [page["content"] for page in result.pages or []]
        return {"title": title, "pages": texts, "nodes": [entry for entry in found if entry[0] == "heading"]}
    if not found and result.content.strip():
        found = [["paragraph", part, 0, None] for part in result.content.split("\n\n")]
    return {"title": title, "pages": [], "nodes": found}


def _entry(node: dict[str, Any]) -> list[Any] | None:
    content = node["content"]
    kind = content["node_type"]
    if node.get("content_layer") in ("header", "footer") or kind in ("group", "page_break"):
        return None
    if kind == "table":
        return ["row", _rows(content["grid"]), 0, node.get("page")]
    text = content.get("text") or content.get("description")
    return [_KINDS.get(kind, "paragraph"), text, content.get("level") or 1, node.get("page")] if text else None


def _rows(grid: dict[str, Any]) -> list[list[str]]:
    rows: dict[int, dict[int, str]] = {}
    for cell in grid["cells"]:
        rows.setdefault(cell["row"], {})[cell["col"]] = cell["content"]
    width = 1 + max((max(row) for row in rows.values()), default=-1)
    return [[row.get(place, "") for place in range(width)] for _, row in sorted(rows.items())]


def _reason(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error)
    if "password" in text.lower() or "encrypt" in text.lower():
        return "is encrypted: save it without a password"
    if "limit exceeded" in text.lower():
        return f"unpacks to more than it may: a zip bomb? ({' '.join(text.split('exceeded: ')[-1].split())[:150]})"
    if "FormatError" in text or "EOCD" in text:
        return "is broken: damaged, cut off, or another format than its name says"
    return f"is broken: {' '.join(text.split())[:200]}"


_limit = 0


def _limit_memory(limit: int) -> None:
    """By the system where it does that by what is used, as Linux does; and by looking, where it can be looked up."""
    global _limit
    if not _limit:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    _limit = limit
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _watch(parent: int) -> None:
    """End this process when it holds more memory than it may, or when the caller is gone."""
    while True:
        time.sleep(0.05)
        if sys.platform != "win32":
            if _peak() > _limit + (64 << 20):
                os._exit(77)
            if os.getppid() != parent:
                os._exit(0)


def _peak() -> int:
    """The most bytes that were resident. Linux's getrusage begins with what the caller had."""
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
