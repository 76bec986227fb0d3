"""What the routes over the indexes take and give.   (JSON ↔ structs)"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gemlet.search import Mode

HITS = 100
SOURCES = 20
CHARACTERS = 20_000  # of a query

TASKS = ("query", "search result", "question answering", "fact checking", "code retrieval")

Task = Annotated[str, Meta(extra_json_schema={"x-schema": {"enum": [*TASKS]}})]
Text = Annotated[str, Meta(max_length=CHARACTERS)]
Share = Annotated[float, Meta(ge=0, le=1)]
Words = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=50)]


class IndexRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """One of the server's indexes by its name; without one, the first."""

    index: Annotated[str, Meta(max_length=255)] | None = None


class Which(IndexRequest, kw_only=True):
    """Which files of an index count.

    path       a pattern as in .gitignore, of names as answers give them: "*.md", "notes/", "/notes/2026/"
    kinds      of file: "text", "markdown", "code", "pdf", "office", "mail", ...
    languages  of code: "python", "c", ...
    after      changed at this time or later, in seconds since 1970; `before`: earlier than this
    """

    path: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    kinds: Words = []
    languages: Words = []
    after: float | None = None
    before: float | None = None


class SearchRequest(Which, kw_only=True):
    """A search.

    query            words, a question, a claim; "quoted words" are looked for as they stand, among others
    like             instead of a query: a file of the index, by its name as answers give it
    mode             "hybrid" by meaning and words, "semantic" by meaning, "keyword" by words
    task             the query's prompt: "query", "question answering", "fact checking", "code retrieval"
    k                hits at most
    per_file         passages of one file at most
    min_probability  leave out what is less likely an answer; 0 shows all
    exact            scan every vector of a large index, too
    """

    query: Text = ""
    like: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    mode: Mode = "hybrid"
    task: Task = "query"
    k: Annotated[int, Meta(ge=1, le=HITS)] = 10
    per_file: Annotated[int, Meta(ge=1, le=HITS)] = 1
    min_probability: Share | None = None
    exact: bool = False


class FoundPassage(Struct, kw_only=True):
    """A passage that was found.

    path         its file, named from the folder that was indexed; `also`: other files with the same contents
    line         where the sentence that matches begins, 1-based, as first_line and last_line of the passage are
    marked       where that sentence begins and ends in the snippet, in code points
    score        what the order goes by
    probability  that the passage answers the query; null where nothing was calibrated (keywords alone, `like`)
    cosine       between query and passage; null for keywords alone
    words        the words of the query that the passage holds
    """

    path: str
    also: list[str]
    line: int
    first_line: int
    last_line: int
    page: int | None
    title: str | None
    kind: str
    language: str | None
    snippet: str
    marked: tuple[int, int]
    text: str
    score: float
    probability: float | None
    cosine: float | None
    words: list[str]


class SearchAnswer(Struct, kw_only=True):
    """Hits, best first; without any, the nearest passages and a message that nothing matches well.

    passages  how many there were to choose from
    seconds   that it took
    """

    index: str
    query: str
    mode: str
    task: str
    hits: list[FoundPassage]
    nearest: list[FoundPassage]
    message: str | None
    passages: int
    seconds: float


class AskRequest(Which, kw_only=True):
    """A question.

    quote   take no model that writes: quote the sentences that answer best
    stream  answer with server-sent events: "sources", then "text" for each piece, then "done", or "error"
    """

    question: Annotated[str, Meta(min_length=1, max_length=CHARACTERS)]
    sources: Annotated[int, Meta(ge=1, le=SOURCES)] = 6
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 512
    min_probability: Share | None = None
    quote: bool = False
    stream: bool = False


class Source(Struct, kw_only=True):
    """A passage that the answer may name, as "[1]"."""

    number: int
    path: str
    first_line: int
    last_line: int
    page: int | None
    title: str | None
    text: str


class AskAnswer(Struct, kw_only=True):
    """An answer; `written_by` is null for quotations, `cited` are the numbers of the sources that it names.

    refused  nothing in the index answers, or the sources do not say
    """

    index: str
    question: str
    answer: str
    sources: list[Source]
    cited: list[int]
    refused: bool
    written_by: str | None


class MapProgress(Struct, kw_only=True):
    """How far a map is: `share` from 0 to 1; `error` says why there is none."""

    state: Literal["working", "done", "failed"]
    step: str
    share: float
    error: str | None = None


class Grouping(Struct, kw_only=True):
    """One way to colour the points: names and colours of the groups, and in base64 which group each point has.

    unnamed  the group of what belongs nowhere; plain: there is one group alone
    """

    name: str
    names: list[str]
    colours: list[str]
    of: str
    unnamed: int | None
    plain: bool


class MapPoints(Struct, kw_only=True):
    """Points of a map, `passages` being all that the index has; a large one shows every so many-th.

    x, y  base64 of 2 bytes for each point, the low one first: from 0 to `span`, y downwards
    """

    index: str
    passages: int
    span: int
    x: str
    y: str
    texts: list[str]
    places: list[str]
    groupings: list[Grouping]


class MapAnswer(Struct, kw_only=True):
    """How far the map is; and the map, as soon as there is one: of an earlier state while the next is made."""

    progress: MapProgress
    map: MapPoints | None


class IndexStatus(Struct, kw_only=True):
    """An index that the server was given.

    ready       whether it can be searched; `problem` says why not
    roots       folders and files that were indexed, by the names that paths in answers begin with
    unreadable  files that could not be read
    changed     when the index was last written, in seconds since 1970
    asks        whether a model that writes answers questions; else sentences are quoted
    """

    name: str
    ready: bool
    problem: str | None = None
    files: int = 0
    passages: int = 0
    unreadable: int = 0
    dim: int = 0
    roots: Sequence[str] = ()
    kinds: Sequence[str] = ()
    languages: Sequence[str] = ()
    changed: float | None = None
    asks: bool = False
    map: MapProgress | None = None


class ServerStatus(Struct, kw_only=True):
    """The server and its indexes, the first one first.

    queue_texts   that wait, with queue_tokens in all; speed: tokens a second, of late
    memory_bytes  that the process holds; null where the system does not say
    """

    version: str
    model: str
    quantization: str
    instruction_set: str
    threads: int
    seconds: float
    queue_texts: int
    queue_tokens: int
    speed: float
    memory_bytes: int | None
    cache_vectors: int
    cache_bytes: int
    cache_limit_bytes: int
    tasks: list[str]
    indexes: list[IndexStatus]
