"""Inputs and settings → what is to be made, and what of it is there.   (inputs, Settings → Plan ↔ _manifest.json)

The plan is written before the first vector is. A later run takes it from there, and is refused when it asks for
something else: shards of one output are all of the same files and made with the same settings.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gemlet.bulk.columns import Columns, choose
from gemlet.bulk.cutting import BrokenSource, Shard, cut
from gemlet.bulk.folder import MANIFEST, Folder
from gemlet.bulk.settings import Job, Settings
from gemlet.bulk.sources import Source, find_sources, pyarrow
from gemlet.embedder import Embedder
from gemlet.errors import BulkError, InputError
from gemlet.gpu import OWN
from gemlet.index.fingerprint import model_digest
from gemlet.passages import CHUNKER
from gemlet.prompts import document_prompts, find_prompt

FORMAT = 1

Listener = Callable[[str], None]
"""Is told a line now and then."""


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    job     what every shard is made with
    shards  all of them
    broken  (name, reason) of sources that cannot be read and were left out
    """

    job: Job
    shards: list[Shard]
    broken: list[tuple[str, str]]

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.rows for shard in self.shards)


def made_with(embedder: Embedder, settings: Settings) -> dict[str, Any]:
    """All that a vector depends on besides the text, in JSON's types. Raises UnknownPrompt."""
    from gemlet import __version__

    task = settings.task
    prompt = document_prompts(["{title}"], 1)[0] if task == "document" else ""
    return {
        "gemlet": __version__,
        "model": model_digest(embedder.checkpoint, None)[0],
        "quantization": embedder.quantization,
        "device": "cpu" if embedder.device == OWN else "gpu",
        "prompt": prompt or (find_prompt(embedder.prompts, task) if task else ""),
        "dim": settings.dim or embedder.truncate_dim,
        "precision": settings.precision,
        "truncation": settings.truncation,
        "chunk": [settings.chunk, settings.overlap, CHUNKER] if settings.chunk else None,
    }


def make_plan(inputs: Sequence[str], folder: Folder, settings: Settings, made: dict[str, Any], tell: Listener) -> Plan:
    """Look at every input and cut it.

    Raises InputError for what is not there, not readable (unless skip_broken), or in the output's folder itself.
    """
    sources = find_sources(inputs)
    for source in sources:
        if folder.holds(source.path):
            raise InputError(f"the input {source.name} is in the output's folder {folder.name}: name another folder")
    columns = Columns()
    shards: list[Shard] = []
    broken: list[tuple[str, str]] = []
    good: list[Source] = []
    for source in sources:
        if source.size > 1 << 30:
            tell(f"looking through {source.name}")
        try:
            parts = cut(len(good), source, settings.shard_rows)
            columns.add(source)
        except BrokenSource as error:
            if not settings.skip_broken:
                cure = "mend it, leave it out, or list it among the bad rows with --skip-broken"
                raise InputError(f"{error}: {cure}") from None
            broken.append((source.name, str(error)))
            continue
        good.append(source)
        shards += parts
    if not shards:
        reason = f" ({broken[0][1]})" if broken else ""
        raise InputError(f"{', '.join(inputs[:3])}: there is no row in it{reason}")
    chosen, schema, kept = choose(columns.schema(), settings)
    job = Job(folder.path, good, schema, kept, chosen, made, "")
    return Plan(replace(job, mark=_mark(job)), shards, broken)


def write_plan(plan: Plan, folder: Folder) -> None:
    """Write the manifest. Raises BulkError."""
    facts = {
        "format": FORMAT,
        "made": plan.job.made,
        "settings": asdict(plan.job.settings),
        "kept": plan.job.kept,
        "schema": base64.b64encode(plan.job.schema.serialize()).decode(),
        "sources": [asdict(source) for source in plan.job.sources],
        "broken": plan.broken,
        "shards": [list(shard) for shard in plan.shards],
    }
    with folder.whole(MANIFEST) as file:
        file.write(json.dumps(facts, indent=None, ensure_ascii=True).encode())


def read_plan(folder: Folder) -> Plan | None:
    """The plan that an earlier run wrote there; None: the folder is empty or not there.

    Raises InputError for a folder with anything else in it, BulkError for a manifest that is damaged.
    """
    names = folder.names()
    if MANIFEST not in names:
        foreign = [name for name in names if not name.startswith((".", "_"))]
        if foreign:
            raise InputError(
                f"{folder.name} is not empty ({foreign[0]}), and no output of gemlet bulk: name another folder"
            )
        return None
    pa = pyarrow()
    try:
        with folder.open(MANIFEST) as file:
            facts = json.loads(file.read())
        if facts["format"] != FORMAT:
            raise BulkError(f"{folder.name} was made by another version of gemlet: take that, or name another folder")
        options: dict[str, Any] = facts["settings"]
        for name in ("columns", "drop"):
            options[name] = options[name] if options[name] is None else tuple(options[name])
        settings = Settings(**options)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(facts["schema"])))
        sources = [Source(**source) for source in facts["sources"]]
        job = Job(folder.path, sources, schema, tuple(facts["kept"]), settings, facts["made"], "")
        shards = [Shard(*shard) for shard in facts["shards"]]
        broken = [(name, reason) for name, reason in facts["broken"]]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BulkError(
            f"{folder.name}/{MANIFEST} is damaged ({type(error).__name__}): delete the folder and run this again"
        ) from None
    return Plan(replace(job, mark=_mark(job)), shards, broken)


def check_same(plan: Plan, inputs: Sequence[str], folder: Folder, settings: Settings, made: dict[str, Any]) -> None:
    """Raise InputError unless a run that asks for these may go on with the plan."""
    for name, value in made.items():
        before = plan.job.made.get(name)
        if before != value:
            _refuse(folder, name, before, value)
    before = plan.job.settings
    for name in ("title", "columns", "drop", "shard_rows", "vector", "skip_broken"):
        if getattr(before, name) != getattr(settings, name):
            _refuse(folder, name.replace("_", "-"), getattr(before, name), getattr(settings, name))
    if settings.text is not None and settings.text != before.text:
        _refuse(folder, "text", before.text, settings.text)
    names = {name for name, _ in plan.broken}
    found = {source.path: source for source in find_sources(inputs) if source.name not in names}
    known = {source.path: source for source in plan.job.sources}
    for path in [*known, *found]:
        if path not in found or path not in known:
            what, which = ("is not among the input", known) if path not in found else ("was not among the input", found)
            raise InputError(
                f"{which[path].name} {what} that {folder.name} was begun with: name the same, or another folder"
            )
        now, then = found[path], known[path]
        if (now.size, now.mtime_ns) != (then.size, then.mtime_ns):
            raise InputError(f"{now.name} has changed since {folder.name} was begun: name another folder")


def _refuse(folder: Folder, name: str, before: Any, now: Any) -> None:
    raise InputError(
        f"{folder.name} was begun with {name} {_short(before)}, not {_short(now)}: "
        "take the same to go on with it, or name another folder"
    )


def _short(value: Any) -> str:
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    text = "none" if value in (None, "") else str(value)
    return text[:12] if len(text) == 64 else text[:60]


def _mark(job: Job) -> str:
    """A digest of all that a shard's bytes depend on."""
    settings = {**asdict(job.settings), "skip_broken": None}
    facts = [job.made, settings, job.kept, str(job.schema), [asdict(source) for source in job.sources]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
