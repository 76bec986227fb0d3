"""gemlet itself, as anyone calls it.   (a checkpoint folder or a .gguf file)"""

from typing import Any

from gemlet import Embedder, __version__


class Rival:
    """Defaults, but for the threads and what an option says."""

    version = f"gemlet {__version__}"

    def __init__(self, model: str, threads: int, **options: Any) -> None:
        self.embedder = Embedder(model, threads=threads, offline=True, **options)
        self.version += f", {self.embedder.quantization}, {self.embedder.isa}"

    def encode(self, texts: list[str]) -> Any:
        """Return unit vectors [n, 768]."""
        return self.embedder.encode(texts)
