"""pretrained.hub: a hub on 127.0.0.1 that answers, refuses, redirects, breaks off or keeps silent."""

import dataclasses
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_places import BIG, MIRROR, NAME, REVISION, Hub, Lines, find_tiny, tiny_files, tiny_pins, use_empty_caches

from gemlet import pretrained
from gemlet.errors import ModelNotFound
from gemlet.pretrained.store import Store

FILES = tiny_files()
PINS = dataclasses.replace(tiny_pins(FILES), archive=None)
WEIGHTS = f"/{NAME}/resolve/{REVISION}/model.safetensors"


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_empty_caches(monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("time.sleep", lambda seconds, sleep=time.sleep: sleep(seconds / 100))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub({NAME: dict(FILES), MIRROR: dict(FILES)}).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


def assert_whole(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert not Store(PINS).partial.exists()


def asked(hub: Hub, repository: str) -> list[str]:
    return [path for _, path, _, _ in hub.log if path.startswith(f"/{repository}/")]


def test_the_publisher_is_asked_with_the_token_and_nobody_else_is(hub: Hub) -> None:
    progress = Lines()
    assert_whole(find_tiny(PINS, progress))
    assert asked(hub, MIRROR) == []
    assert {token for *_, token in hub.log} == {"Bearer hf_secret"}
    assert f"fetching from the hub repository {NAME}" in progress.lines
    size = sum(map(len, FILES.values()))
    assert progress.counts[-1] == (size, size, "download")


def test_nothing_is_asked_when_the_cache_is_whole(hub: Hub) -> None:
    find_tiny(PINS)
    hub.log.clear()
    find_tiny(PINS)
    assert hub.log == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_what_to_do(hub: Hub, status: int) -> None:
    hub.refuse = {NAME: (status, "GatedRepo"), MIRROR: (404, "RepoNotFound")}
    with pytest.raises(ModelNotFound) as caught:
        find_tiny(PINS)
    publisher, mirror = caught.value.tried[-2:]
    assert publisher == (
        f"the hub repository {NAME}: the model is gated: accept the terms at {hub.address}/{NAME}, "
        "then set HF_TOKEN or run `hf auth login`"
    )
    assert "no such repository" in mirror
    assert "hf_secret" not in str(caught.value)


def test_the_open_mirror_is_next_and_gets_no_token(hub: Hub) -> None:
    hub.refuse = {NAME: (401, "GatedRepo")}
    assert_whole(find_tiny(PINS))
    assert {token for _, path, _, token in hub.log if path.startswith(f"/{MIRROR}/")} == {None}


def test_one_file_that_differs_comes_from_the_next_place(hub: Hub) -> None:
    hub.repositories[NAME]["tokenizer.json"] = b"TOKENS " * 4000
    assert_whole(find_tiny(PINS))
    assert {path.rpartition("/")[2] for path in asked(hub, MIRROR)} == {"tokenizer.json"}


def test_one_file_that_is_absent_comes_from_the_next_place(hub: Hub) -> None:
    del hub.repositories[NAME]["2_Dense/config.json"]
    assert_whole(find_tiny(PINS))
    assert {path.rpartition("/")[2] for path in asked(hub, MIRROR)} == {"config.json"}


def test_wrong_bytes_everywhere_are_an_error_with_both_digests(hub: Hub) -> None:
    for repository in hub.repositories.values():
        repository["model.safetensors"] = bytes(BIG)
    with pytest.raises(ModelNotFound) as caught:
        find_tiny(PINS)
    for line in caught.value.tried[-2:]:
        assert "model.safetensors has SHA-256" in line
        assert PINS.pins[2].sha256 in line
    assert not (Store(PINS).folder / "model.safetensors").exists()


def test_a_readme_that_differs_everywhere_does_not_matter(hub: Hub) -> None:
    for repository in hub.repositories.values():
        repository["README.md"] = b"# mine\n"
    assert find_tiny(PINS) == Store(PINS).folder
    assert not (Store(PINS).folder / "README.md").exists()


def test_a_longer_body_is_not_written_to_the_disk(hub: Hub) -> None:
    for repository in hub.repositories.values():
        repository["tokenizer.json"] = bytes(BIG)
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json has more than 28,000 bytes"):
        find_tiny(PINS)
    assert all(path.stat().st_size <= BIG for path in Store(PINS).partial.rglob("*") if path.is_file())


def test_a_broken_connection_goes_on_where_it_broke(hub: Hub) -> None:
    hub.cut_after = [1_000_000, 500_000]
    assert_whole(find_tiny(PINS))
    starts = [
        int(part.removeprefix("bytes=").rstrip("-"))
        for _, path, part, _ in hub.log
        if path == WEIGHTS and part and part != "bytes=0-0"
    ]
    assert len(starts) == 2
    assert 900_000 < starts[0] <= 1_000_000  # up to 64 KiB of a broken answer are lost
    assert 1_300_000 < starts[1] <= 1_500_000


def test_a_server_without_ranges_is_read_from_the_start(hub: Hub) -> None:
    hub.ranges = False
    hub.cut_after = [1, 1_000_000]  # the first is the answer to the question for one byte
    assert_whole(find_tiny(PINS))
    assert asked(hub, MIRROR) == []


def test_answers_that_bring_nothing_end(hub: Hub) -> None:
    hub.cut_after = [1_000_000] + [0] * 20
    with pytest.raises(ModelNotFound) as caught:
        find_tiny(PINS)
    assert len([line for line in hub.log if line[1] == WEIGHTS]) <= 6
    assert len(caught.value.tried) == 4
    assert list(Store(PINS).partial.rglob("model.safetensors"))  # kept for the next time


def test_a_damaged_rest_of_the_last_time_is_fetched_anew(hub: Hub) -> None:
    rest = Store(PINS).partial / "tiny--model" / "model.safetensors"
    rest.parent.mkdir(parents=True)
    rest.write_bytes(bytes(2_000_000))
    assert_whole(find_tiny(PINS))
    assert asked(hub, MIRROR) == []


def test_the_token_does_not_follow_a_redirect_to_another_host(hub: Hub) -> None:
    with Hub({NAME: dict(FILES)}).running() as cdn:
        hub.cdn = cdn.address.replace("127.0.0.1", "localhost")
        assert_whole(find_tiny(PINS))
        assert cdn.log
        assert {token for *_, token in cdn.log} == {None}


def test_a_hub_that_refuses_the_connection_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ModelNotFound) as caught:
        find_tiny(PINS)
    assert time.monotonic() - started < 5
    assert [line.endswith("; not asked again") for line in caught.value.tried[-2:]] == [False, True]
    assert all("cannot reach http://127.0.0.1:9: " in line for line in caught.value.tried[-2:])


def test_a_name_that_does_not_resolve_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with pytest.raises(ModelNotFound, match=r"cannot reach http://hub\.invalid: "):
        find_tiny(PINS)


def test_a_hub_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(ModelNotFound) as caught:
            find_tiny(PINS)
        assert time.monotonic() - started < 7  # 5 s of waiting, once for the two repositories, and the machine's load
    reasons = [line.partition(": ")[2] for line in caught.value.tried[-2:]]
    assert "no answer from" in reasons[0] or "timed out" in reasons[0]
    assert reasons[1].endswith("not asked again")


def test_content_hosts_that_never_answer_cost_seconds(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub.cdn = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ModelNotFound):
            find_tiny(PINS)
        assert time.monotonic() - started < 7  # as above


def test_another_repository_goes_to_the_hubs_own_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("huggingface_hub")
    wanted = {}

    def snapshot_download(name: str, **options: object) -> str:
        wanted.update(options, name=name)
        return os.fspath(options["cache_dir"])

    monkeypatch.setattr(library, "snapshot_download", snapshot_download)
    hub.repositories["owner/tuned"] = {"config.json": b"{}"}
    folder = pretrained.find("owner/tuned", progress=Lines())
    assert folder == Path(os.environ["HF_HOME"]) / "hub"
    assert wanted["name"] == "owner/tuned"
    assert {token for *_, token in hub.log} == {"Bearer hf_secret"}


def test_another_repository_that_is_absent_or_gated_says_so(hub: Hub) -> None:
    hub.refuse = {"owner/none": (401, "RepoNotFound"), "owner/gated": (403, "GatedRepo")}
    with pytest.raises(ModelNotFound, match="no such repository, or the token is not valid for it"):
        pretrained.find("owner/none")
    with pytest.raises(ModelNotFound, match=f"accept the terms at {hub.address}/owner/gated"):
        pretrained.find("owner/gated")
