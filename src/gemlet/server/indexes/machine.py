"""How the server does.   (service → status)"""

import os
import sys
import time
from pathlib import Path

from gemlet import __version__
from gemlet.server.indexes.shapes import IndexStatus, ServerStatus
from gemlet.server.indexes.textshapes import ALIKE, SEARCHES
from gemlet.server.service import Service


def status_of_server(service: Service, indexes: list[IndexStatus]) -> ServerStatus:
    """What the page and a monitor show."""
    embedder, batcher = service.embedder, service.batcher
    return ServerStatus(
        version=__version__,
        model=service.name,
        quantization=embedder.quantization,
        instruction_set=embedder.isa,
        threads=embedder.threads,
        seconds=round(time.time() - service.started, 1),
        queue_texts=batcher.waiting_items,
        queue_tokens=batcher.waiting_tokens,
        speed=round(batcher.speed, 1),
        memory_bytes=_memory(),
        cache_vectors=len(batcher.cache),
        cache_bytes=batcher.cache.size_bytes,
        cache_limit_bytes=service.settings.cache_bytes,
        tasks=[*SEARCHES, *ALIKE],
        indexes=indexes,
    )


def _memory() -> int | None:
    """Bytes that this process holds in memory, where Linux's /proc says so."""
    if sys.platform != "linux":
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
