"""Files that are new or changed → documents in the store.   (stamps → rows)

Three threads: one reads, hashes, parses and splits ahead (reading.py); this one embeds; one writes what is complete. A
document is written when its last passage has a vector, whole, so that a run may end anywhere; of a long one the vectors
are kept aside meanwhile, so that hours of work are not lost with it.
"""

import time
import warnings
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from gemlet.embedder import Embedder
from gemlet.errors import DoublePromptWarning
from gemlet.folders import Stamp
from gemlet.index.reading import BINARY, Ahead, Pending, Reader
from gemlet.index.report import Meter, Report
from gemlet.scan import quantise
from gemlet.store import StoreWriter

_POOL = 1 << 16  # characters whose passages are sorted by length and embedded together
_SLICE = 1 << 13  # characters that one call embeds: a second or so on two cores, after which Ctrl-C is heard
_WRITE_S = 0.5  # complete documents wait at most so long for company in their transaction
_WRITE_MANY = 64
_LONG = 256  # passages of a document from which on its vectors are kept before it is complete
_KEEP_S = 10.0

Row = tuple[Pending, int]  # a document and the place of a passage in it


class Pipeline:
    """One run over files."""

    def __init__(self, store: StoreWriter, embedder: Embedder, dim: int, reader: Reader, meter: Meter) -> None:
        self.report = Report()
        self.found_again: Counter[int] = Counter()  # document → files that turned out to have it
        self._store = store
        self._embedder = embedder
        self._dim = dim
        self._reader = reader
        self._meter = meter
        self._rows: deque[Row] = deque()
        self._complete: list[Pending] = []
        self._partial: list[Row] = []  # of long documents, embedded and not yet kept
        self._kept = time.monotonic()
        self._written = time.monotonic()
        self._writing: Future[None] | None = None

    def run(self, stamps: Iterable[Stamp]) -> None:
        """Read, embed and write. When it is interrupted, or fails, what was complete by then is in the store."""
        ahead = Ahead(self._reader, stamps)
        with ThreadPoolExecutor(1, "gemlet-writer") as writer:
            try:
                while pool := self._fill(ahead, writer):
                    for part in _slices(pool):
                        self._embed(part)
                        self._write(writer)
                        self._meter.show()
            finally:
                ahead.close()
                self._write(writer, last=True)
        self._meter.show()

    def _fill(self, ahead: Ahead, writer: ThreadPoolExecutor) -> list[Row]:
        """The next passages to embed; none at the end. Waits for the reader only when there is nothing else to do."""
        pool: list[Row] = []
        size = 0
        while size < _POOL:
            if not self._rows and not self._take(ahead, wait=not pool):
                break
            while self._rows and size < _POOL:
                pool.append(row := self._rows.popleft())
                size += _length(row)
            self._write(writer)
        return pool

    def _take(self, ahead: Ahead, *, wait: bool) -> bool:
        """Take one file from the reader; False when there is none, or none yet."""
        item = ahead.next(wait=wait)
        if item is None:
            return False
        stamp, pending = item
        if pending is None or not pending.waiting:
            self._meter.add(stamp.size)
        if pending is None:
            self._meter.file()
        elif not pending.waiting:
            self._complete.append(pending)
        else:
            self._rows.extend((pending, row) for row in pending.missing)
        return True

    def _embed(self, rows: list[Row]) -> None:
        """Give these passages their vectors."""
        passages = [pending.passages[row] for pending, row in rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DoublePromptWarning)  # a document may well quote a prompt
            vectors, usage = self._embedder.encode_document(
                [passage.text for passage in passages],
                titles=[passage.title for passage in passages],
                truncate_dim=self._dim,
                return_usage=True,
            )
        codes, scales = quantise(vectors)
        tokens = usage.tokens - usage.cut
        for number, (pending, row) in enumerate(rows):
            pending.codes[row], pending.scales[row] = codes[number], scales[number]
            self._meter.add(pending.stamp.size / len(pending.missing), int(tokens[number]))
            pending.waiting -= 1
            if not pending.waiting:
                self._complete.append(pending)
        self._partial += [row for row in rows if len(row[0].missing) >= _LONG]

    def _write(self, writer: ThreadPoolExecutor, *, last: bool = False) -> None:
        """Hand on what is complete; wait for the transaction before, so that there is never more than one."""
        now = time.monotonic()
        due = self._complete and (len(self._complete) >= _WRITE_MANY or now - self._written >= _WRITE_S)
        keep = self._partial and now - self._kept >= _KEEP_S
        if not (last or due or keep):
            return
        self._await_writing()
        batch, self._complete = self._complete, []
        partial: list[Row] = []
        if last or keep:
            partial, self._partial, self._kept = self._partial, [], now
        self._written = now
        self._writing = writer.submit(self._transact, batch, partial) if batch or partial else None
        if last:
            self._await_writing()

    def _await_writing(self) -> None:
        """Wait for the transaction, and raise what it raised; that must not hold on to the model by way of this."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        finally:
            del writing

    def _transact(self, batch: list[Pending], partial: list[Row]) -> None:
        with self._store.transaction():
            for pending in batch:
                self._put(pending)
            self._store.keep_vectors(
                (pending.passages[row], float(pending.scales[row]), pending.codes[row].tobytes())
                for pending, row in partial
                if pending.waiting
            )
        for _ in batch:
            self._meter.file()

    def _put(self, pending: Pending) -> None:
        if pending.reason is not None:
            self._put_problem(pending)
            return
        document = pending.document or self._store.document_id(pending.hash)
        if document is None:
            document = self._store.add_document(pending.entry())
            self.report.passages += len(pending.passages)
            self.report.reused += len(pending.passages) - len(pending.missing)
        else:
            self.found_again[document] += self._store.document_of(pending.stamp.path) is None
        for stamp in (pending.stamp, *self._reader.landed(pending)):
            self._link(stamp, document)

    def _put_problem(self, pending: Pending) -> None:
        if pending.forget:
            self.report.removed += self._store.unlink([pending.stamp.path])
        self._store.note_problem(pending.stamp, pending.reason or BINARY)
        self.report.skipped += pending.reason == BINARY

    def _link(self, stamp: Stamp, document: int) -> None:
        before = self._store.document_of(stamp.path)
        self._store.link(stamp, document)
        if before is None:
            self.report.added += 1
        elif before == document:
            self.report.unchanged += 1
        else:
            self.report.changed += 1


def _length(row: Row) -> int:
    pending, place = row
    return len(pending.passages[place].text)


def _slices(pool: list[Row]) -> Iterable[list[Row]]:
    """The pool in parts of about _SLICE characters, the longest passages first."""
    part: list[Row] = []
    size = 0
    for row in sorted(pool, key=_length, reverse=True):
        part.append(row)
        size += _length(row)
        if size >= _SLICE:
            yield part
            part, size = [], 0
    if part:
        yield part
