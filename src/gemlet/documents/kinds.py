"""A file's name → what kind of document it is, which reader takes it, which language it is in."""

from pathlib import PurePath
from typing import Literal, NamedTuple

from gemlet.documents.document import Kind

Reader = Literal["text", "rst", "org", "adoc", "tex", "markdown", "code", "csv", "notebook", "html", "mail", "extract"]


class Format(NamedTuple):
    """kind: of the document; reader: who takes it; detail: code's language, extracted formats' MIME type."""

    kind: Kind
    reader: Reader
    detail: str | None = None


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

_EXTRACTED: dict[str, tuple[Kind, str]] = {
    "pdf": ("pdf", "application/pdf"),
    "docx docm dotx": ("office", _OOXML + "wordprocessingml.document"),
    "xlsx xlsm xltx": ("office", _OOXML + "spreadsheetml.sheet"),
    "pptx pptm ppsx potx": ("office", _OOXML + "presentationml.presentation"),
    "doc": ("office", "application/msword"),
    "xls": ("office", "application/vnd.ms-excel"),
    "ppt": ("office", "application/vnd.ms-powerpoint"),
    "odt": ("office", _ODF + "text"),
    "ods": ("office", _ODF + "spreadsheet"),
    "rtf": ("office", "application/rtf"),
    "epub": ("ebook", "application/epub+zip"),
    "fb2": ("ebook", "application/x-fictionbook+xml"),
    "msg": ("mail", "application/vnd.ms-outlook"),
}

_CODE = {
    "python": "py pyi pyw pyx",
    "javascript": "js jsx mjs cjs",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "c": "c h",
    "c++": "cc cpp cxx hh hpp hxx inl cu cuh",
    "c#": "cs",
    "ruby": "rb rake gemspec",
    "php": "php",
    "bash": "sh bash zsh ksh",
    "kotlin": "kt kts",
    "swift": "swift",
    "scala": "scala sc",
    "lua": "lua",
    "perl": "pl pm",
    "r": "r",
    "julia": "jl",
    "haskell": "hs",
    "ocaml": "ml mli",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "clojure": "clj cljs cljc",
    "lisp": "lisp el scm",
    "dart": "dart",
    "zig": "zig",
    "nim": "nim",
    "objective-c": "m mm",
    "fortran": "f f90 f95",
    "pascal": "pas",
    "groovy": "groovy gradle",
    "powershell": "ps1 psm1",
    "batch": "bat cmd",
    "sql": "sql",
    "graphql": "graphql gql",
    "protobuf": "proto",
    "terraform": "tf hcl",
    "nix": "nix",
    "cmake": "cmake",
    "make": "mk",
    "assembly": "s asm",
    "vue": "vue",
    "svelte": "svelte",
    "css": "css scss sass less",
    "json": "json jsonl ndjson json5 geojson",
    "yaml": "yaml yml",
    "toml": "toml",
    "ini": "ini cfg conf properties",
    "xml": "xml xsd xsl xslt svg",
}

_NAMES = {
    "makefile": "make",
    "gnumakefile": "make",
    "cmakelists.txt": "cmake",
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "gemfile": "ruby",
    "rakefile": "ruby",
    "jenkinsfile": "groovy",
    ".bashrc": "bash",
    ".zshrc": "bash",
    ".profile": "bash",
}

_INTERPRETERS = {"python": "python", "node": "javascript", "bash": "bash", "sh": "bash", "zsh": "bash", "ruby": "ruby",
                 "perl": "perl", "php": "php", "lua": "lua", "rscript": "r"}  # fmt: skip


def _by_suffix() -> dict[str, Format]:
    table: dict[str, Format] = {}
    for suffixes, (kind, mime) in _EXTRACTED.items():
        table |= dict.fromkeys(suffixes.split(), Format(kind, "extract", mime))
    for language, suffixes in _CODE.items():
        table |= dict.fromkeys(suffixes.split(), Format("code", "code", language))
    table |= dict.fromkeys(("txt", "text", "log", "srt", "vtt"), Format("text", "text"))
    table |= {name: Format("text", reader) for name, reader in _MARKUP.items()}
    table |= dict.fromkeys(("md", "markdown", "mdx", "mdown", "mkd", "qmd", "rmd"), Format("markdown", "markdown"))
    table |= {"csv": Format("csv", "csv", ""), "tsv": Format("csv", "csv", "\t"), "tab": Format("csv", "csv", "\t")}
    table |= {"ipynb": Format("notebook", "notebook")}
    table |= dict.fromkeys(("html", "htm", "xhtml"), Format("html", "html"))
    table |= dict.fromkeys(("eml", "mbox", "mbx"), Format("mail", "mail"))
    return table


_MARKUP: dict[str, Reader] = {"rst": "rst", "rest": "rst", "org": "org", "adoc": "adoc", "asciidoc": "adoc",
                              "tex": "tex", "latex": "tex"}  # fmt: skip
_SUFFIXES = _by_suffix()


def format_of(path: PurePath) -> Format | None:
    """What the file's name says; None when it says nothing."""
    name = path.name.lower()
    if name in _NAMES:
        return Format("code", "code", _NAMES[name])
    return _SUFFIXES.get(name.rpartition(".")[2]) if "." in name[1:] else None


def sniff(data: bytes) -> Format:
    """What the first bytes say of a file whose name says nothing; anything else is plain text, or will be refused."""
    if data.startswith(b"%PDF-"):
        return _SUFFIXES["pdf"]
    head = data[:1024].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return _SUFFIXES["html"]
    if data.startswith(b"From ") and b"\nfrom:" in data[:4096].lower():
        return _SUFFIXES["mbox"]
    if data.startswith(b"#!"):
        words = data[2:128].split(b"\n")[0].decode("latin-1").lower().replace("/", " ").split()
        for word in words:
            if (language := _INTERPRETERS.get(word.rstrip("0123456789."))) is not None:
                return Format("code", "code", language)
    return _SUFFIXES["txt"]
