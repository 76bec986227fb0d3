"""The table of contents is law: a chapter may use only itself and the chapters before it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "gemlet"
NATIVE = ROOT / "native"

PYTHON_CHAPTERS = [
    "errors", "_core", "prompts", "texts", "packing", "vectors", "checkpoint", "balance", "stream", "feedback", "gguf",
    "pretrained", "quantized", "gpu", "embedder", "documents", "passages", "folders", "dataset", "scan", "store",
    "index", "stores", "relevance", "search", "generate", "ask", "mcp", "classify", "pca", "clustering", "layout",
    "pairs", "evaluation", "curate", "train", "bulk", "server", "verify", "cli", "__main__",
]  # fmt: skip
NATIVE_CHAPTERS = ["base", "kernels", "weights", "text", "model", "scan", "bind"]
BLIND = {
    ("text", "weights"),
    ("text", "kernels"),
    ("weights", "kernels"),
    *(("scan", other) for other in ("weights", "text", "model")),
}  # earlier, and still none of its business


def chapter(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")
SOURCES = sorted(p for p in NATIVE.rglob("*") if p.suffix in {".h", ".cpp", ".inl"})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_earlier_chapters(path: Path) -> None:
    here = PYTHON_CHAPTERS.index(chapter(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "gemlet" and parts[1] != "__version__":
            assert PYTHON_CHAPTERS.index(parts[1]) <= here, f"imports the later chapter {parts[1]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_one_room_touches_the_network_and_only_the_cli_prints(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    # The second talks to this machine alone, unless told otherwise; the third listens, and asks nobody; the fourth
    # reads URLs, and talks to the database that one names.
    if chapter(path) not in {"pretrained", "generate", "server", "stores"}:
        assert not outside & {"huggingface_hub", "urllib", "http", "socket"}
    if chapter(path) not in {"pretrained", "documents"}:  # a worker process reads what may be hostile
        assert "subprocess" not in outside
    if chapter(path) != "cli":
        assert not re.search(r"\bprint\(", path.read_text())
        assert "click" not in outside
    if chapter(path) not in {"train", "gpu"}:
        assert not outside & {"torch", "transformers", "tokenizers", "sentencepiece", "pandas"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(NATIVE)))
def test_a_native_file_includes_only_earlier_chapters(path: Path) -> None:
    here = path.relative_to(NATIVE).parts[0]
    text = path.read_text()
    for other in re.findall(r'#include "(\w+)/', text):
        assert NATIVE_CHAPTERS.index(other) <= NATIVE_CHAPTERS.index(here)
        assert (here, other) not in BLIND
    if here != "bind":
        assert "nanobind" not in text
    assert not re.search(r"\b(abort|exit|printf|std::cout|std::cerr)\b\s*[(<]", text)
    if here not in {"model", "scan", "base", "bind"}:
        assert "parallel_for" not in text


@pytest.mark.parametrize("path", sorted((NATIVE / "kernels").glob("*.cpp")), ids=lambda p: p.name)
def test_isa_files_are_freestanding(path: Path) -> None:
    if path.name in {"dispatch.cpp", "arm.cpp"}:  # these have no flags of their own
        return
    system = set(re.findall(r"#include <(\S+)>", path.read_text()))
    assert system <= {"immintrin.h", "cpuid.h", "arm_neon.h"}  # intrinsics and static functions only


def test_the_chapters_are_all_there() -> None:
    assert {chapter(path) for path in MODULES} <= set(PYTHON_CHAPTERS)
    assert {p.name for p in NATIVE.iterdir()} == set(NATIVE_CHAPTERS)
    contents = (ROOT / "ARCHITECTURE.md").read_text()
    places = [contents.index(f"| `{name}`") for name in PYTHON_CHAPTERS if name != "__main__"]
    assert places == sorted(places), "ARCHITECTURE.md lists the chapters in another order"
