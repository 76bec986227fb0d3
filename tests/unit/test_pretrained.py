"""pretrained: paths, names, the cache, the hub's cache, offline, terms."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_places import MIRROR, NAME, REVISION, Lines, find_tiny, tiny_files, tiny_pins, use_empty_caches

from gemlet import pretrained
from gemlet.errors import ModelError, ModelNotFound
from gemlet.pretrained import store as store_module
from gemlet.pretrained.pins import EMBEDDING_GEMMA, PinnedCheckpoint
from gemlet.pretrained.store import Store, digest_of

FILES = tiny_files()
PINS = tiny_pins(FILES)
TUNED = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights",
    "modules.json": json.dumps(
        [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        ]
    ).encode(),
    "2_Dense/config.json": b"{}",
    "2_Dense/model.safetensors": b"dense",
}
"""A fine-tune that nobody has pinned."""


@pytest.fixture(autouse=True)
def nothing_reachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, an empty hub cache, a hub that refuses to connect, no package index."""
    use_empty_caches(monkeypatch, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def fill_cache(files: dict[str, bytes] = FILES) -> Path:
    """The files in gemlet's cache, without stamps, as if copied there by hand."""
    return write_files(Store(PINS).folder, files)


def fill_hub_cache(tmp_path: Path, repository: str, files: dict[str, bytes]) -> Path:
    """A snapshot as huggingface_hub leaves it: names that are links to blobs."""
    base = tmp_path / "hub-home" / "hub" / ("models--" + repository.replace("/", "--"))
    snapshot = base / "snapshots" / REVISION
    (base / "blobs").mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(REVISION)
    for number, (path, data) in enumerate(files.items()):
        (base / "blobs" / str(number)).write_bytes(data)
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(base / "blobs" / str(number))
    return snapshot


def assert_whole(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES


class TestPaths:
    def test_a_folder_is_used_as_it_is(self, tmp_path: Path) -> None:
        assert pretrained.find(tmp_path) == tmp_path
        assert pretrained.find(str(tmp_path)) == tmp_path

    def test_a_file_stands_for_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_bytes(b"")
        assert pretrained.find(tmp_path / "model.safetensors") == tmp_path

    def test_the_home_folder_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        (tmp_path / "mine").mkdir()
        assert pretrained.find("~/mine") == tmp_path / "mine"

    def test_a_folder_of_the_same_name_goes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "google" / "embeddinggemma-300m").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        assert pretrained.find(EMBEDDING_GEMMA.name) == Path(EMBEDDING_GEMMA.name)

    @pytest.mark.parametrize(
        "name", ["", "./nope", "/nope/nope", "~/nope", "nope", "a/b/c", "../a/b", "a\0/b", "a/b.gguf/", "-a/b", "a /b"]
    )
    def test_what_is_neither_there_nor_a_name_is_refused(self, name: str) -> None:
        with pytest.raises(ModelNotFound, match="no such file or folder, and it is not a name") as caught:
            pretrained.find(name)
        assert "google/embeddinggemma-300m" in str(caught.value)

    def test_a_path_object_is_never_a_name(self) -> None:
        with pytest.raises(ModelNotFound, match="no such file or folder"):
            pretrained.find(Path("google/embeddinggemma-300m"))


class TestPins:
    def test_the_pins_are_those_of_the_published_files(self, checkpoint: Path) -> None:
        for pin in EMBEDDING_GEMMA.pins:
            path = checkpoint / pin.path
            assert (path.stat().st_size, digest_of(path)) == (pin.size, pin.sha256), pin.path

    def test_every_file_that_the_engine_reads_is_required(self) -> None:
        optional = {pin.path for pin in EMBEDDING_GEMMA.pins if not pin.required}
        assert optional == {
            "tokenizer.model",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "generation_config.json",
            "README.md",
        }


class TestCache:
    def test_files_without_stamps_are_hashed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fill_cache()
        progress = Lines()
        assert_whole(find_tiny(PINS, progress, offline=True))
        assert progress.counts[-1] == (sum(map(len, FILES.values())), sum(map(len, FILES.values())), "check")
        monkeypatch.setattr(store_module, "digest_of", None)  # hashing again would fail
        assert_whole(find_tiny(PINS, offline=True))

    def test_a_changed_time_costs_a_hash_and_no_more(self) -> None:
        fill_cache()
        folder = find_tiny(PINS, offline=True)
        os.utime(folder / "config.json", ns=(1, 1))
        assert not Store(PINS).is_complete()
        assert_whole(find_tiny(PINS, offline=True))
        assert Store(PINS).is_complete()

    @pytest.mark.parametrize("path", ["model.safetensors", "README.md"])
    def test_a_flipped_bit_is_found_and_removed(self, path: str) -> None:
        fill_cache()
        folder = find_tiny(PINS, offline=True)
        damaged = bytearray(FILES[path])
        damaged[3] ^= 1
        (folder / path).write_bytes(damaged)
        if path == "README.md":  # the engine does without it
            find_tiny(PINS, offline=True)
        else:
            with pytest.raises(ModelNotFound) as caught:
                find_tiny(PINS, offline=True)
            assert "model.safetensors has SHA-256" in caught.value.tried[0]
            assert "removed" in caught.value.tried[0]
            assert caught.value.tried[-1] == "the network: not tried, since offline is set; pull once without it"
        assert not (folder / path).exists()

    def test_a_file_cut_short_is_found_and_removed(self) -> None:
        fill_cache(FILES | {"config.json": b"{"})
        with pytest.raises(ModelNotFound, match=r"config.json has 1 bytes, expected 22"):
            find_tiny(PINS, offline=True)

    @pytest.mark.parametrize("stamps", ["", "[]", "{", '{"config.json": 7}', '{"config.json": {"size": 22}}', "\0\xff"])
    def test_damaged_stamps_are_made_anew(self, stamps: str) -> None:
        folder = fill_cache()
        (folder / "verified.json").write_text(stamps, encoding="latin-1")
        assert_whole(find_tiny(PINS, offline=True))
        assert set(json.loads((folder / "verified.json").read_text())) == set(FILES)

    def test_a_stamp_for_other_pins_does_not_count(self) -> None:
        fill_cache()
        find_tiny(PINS, offline=True)
        other = tiny_pins(FILES | {"config.json": FILES["config.json"].swapcase()})
        with pytest.raises(ModelNotFound, match=r"config.json has SHA-256"):
            find_tiny(other, offline=True)

    def test_optional_files_may_be_missing(self) -> None:
        fill_cache({path: data for path, data in FILES.items() if path != "README.md"})
        assert find_tiny(PINS, offline=True) == Store(PINS).folder

    def test_two_levels_below_the_cache_folder(self, tmp_path: Path) -> None:
        assert Store(PINS).folder == tmp_path / "cache" / "models" / "tiny--model" / REVISION[:12]

    def test_the_default_is_the_platforms_cache_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import platformdirs

        monkeypatch.delenv("GEMLET_CACHE")
        for given in (None, "", "/elsewhere"):
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
            if given is not None:
                monkeypatch.setenv("XDG_CACHE_HOME", given)
            expected = platformdirs.user_cache_dir("gemlet", appauthor=False)
            assert pretrained.cache_folder() == Path(expected)

    def test_a_cache_that_cannot_be_made_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GEMLET_CACHE", str(tmp_path / "file"))
        fill_hub_cache(tmp_path, NAME, FILES)
        with pytest.raises(
            ModelError, match=r"cannot use the cache .*set GEMLET_CACHE to a folder that can be written"
        ):
            find_tiny(PINS, offline=True)

    def test_a_folder_that_cannot_be_written_serves_what_it_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fill_cache()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "write_text", refuse)
        assert_whole(find_tiny(PINS, Lines(), offline=True))


class TestHubCache:
    def test_its_files_are_linked_not_copied(self, tmp_path: Path) -> None:
        snapshot = fill_hub_cache(tmp_path, MIRROR, FILES)
        folder = find_tiny(PINS, offline=True)
        assert_whole(folder)
        assert (folder / "model.safetensors").samefile(snapshot / "model.safetensors")
        assert not (folder / "model.safetensors").is_symlink()
        assert not Store(PINS).partial.exists()

    def test_its_files_are_copied_where_links_do_not_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
        snapshot = fill_hub_cache(tmp_path, NAME, FILES)
        folder = find_tiny(PINS, offline=True)
        assert_whole(folder)
        assert not (folder / "model.safetensors").samefile(snapshot / "model.safetensors")

    def test_one_good_copy_among_bad_ones_is_enough(self, tmp_path: Path) -> None:
        fill_hub_cache(tmp_path, NAME, FILES | {"model.safetensors": bytes(len(FILES["model.safetensors"]))})
        fill_hub_cache(tmp_path, MIRROR, {"model.safetensors": FILES["model.safetensors"]})
        assert_whole(find_tiny(PINS, offline=True))

    def test_wrong_bytes_are_named_and_left_where_they_are(self, tmp_path: Path) -> None:
        wrong = bytes(len(FILES["model.safetensors"]))
        snapshot = fill_hub_cache(tmp_path, NAME, FILES | {"model.safetensors": wrong})
        with pytest.raises(ModelNotFound, match=r"the hub's cache .*: model.safetensors has SHA-256"):
            find_tiny(PINS, offline=True)
        assert (snapshot / "model.safetensors").read_bytes() == wrong
        assert not (Store(PINS).folder / "model.safetensors").exists()

    @pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
    def test_its_place_can_be_set(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        fill_hub_cache(tmp_path, NAME, FILES)
        monkeypatch.setenv(variable, str(tmp_path / "hub-home" / "hub"))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "elsewhere"))
        assert_whole(find_tiny(PINS, offline=True))


class TestOffline:
    @pytest.mark.parametrize("variable", ["GEMLET_OFFLINE", "HF_HUB_OFFLINE"])
    def test_the_variables_keep_the_network_out(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "1")
        with pytest.raises(ModelNotFound) as caught:
            find_tiny(PINS)
        assert [line.split(":")[0] for line in caught.value.tried] == [
            f"the cache {Store(PINS).folder}",
            f"the hub's cache {os.environ['HF_HOME']}{os.sep}hub",
            "the network",
        ]

    @pytest.mark.parametrize("value", ["", "0", "false"])
    def test_an_empty_or_false_variable_does_not(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("GEMLET_OFFLINE", value)
        with pytest.raises(ModelNotFound, match=r"127.0.0.1:9"):
            find_tiny(PinnedCheckpoint(PINS.name, PINS.revision, PINS.pins, PINS.repositories))


class TestTerms:
    def test_they_are_shown_once_per_cache(self) -> None:
        fill_cache()
        first, second = Lines(), Lines()
        find_tiny(PINS, first, offline=True)
        find_tiny(PINS, second, offline=True)
        assert [line for line in first.lines if "https://ai.google.dev/gemma/terms" in line] == first.lines
        assert len(first.lines) == 1
        assert second.lines == []

    def test_a_silent_caller_does_not_use_them_up(self) -> None:
        fill_cache()
        progress = Lines()
        find_tiny(PINS, offline=True)
        find_tiny(PINS, progress, offline=True)
        assert len(progress.lines) == 1


class TestUnpinned:
    def test_a_whole_snapshot_is_used_without_network(self, tmp_path: Path) -> None:
        snapshot = fill_hub_cache(tmp_path, "owner/tuned", TUNED)
        assert pretrained.find("owner/tuned") == snapshot
        assert pretrained.pull("owner/tuned", offline=True) == snapshot

    @pytest.mark.parametrize("absent", list(TUNED))
    def test_a_partial_snapshot_is_not(self, tmp_path: Path, absent: str) -> None:
        fill_hub_cache(tmp_path, "owner/tuned", {path: data for path, data in TUNED.items() if path != absent})
        with pytest.raises(ModelNotFound, match="no whole snapshot of owner/tuned"):
            pretrained.find("owner/tuned", offline=True)

    def test_pull_falls_back_to_the_snapshot_and_says_so(self, tmp_path: Path) -> None:
        snapshot = fill_hub_cache(tmp_path, "owner/tuned", TUNED)
        progress = Lines()
        assert pretrained.pull("owner/tuned", progress=progress) == snapshot
        assert "cannot reach http://127.0.0.1:9" in progress.lines[0]
        assert "using the copy" in progress.lines[0]

    def test_a_reference_cannot_lead_out_of_the_cache(self, tmp_path: Path) -> None:
        fill_hub_cache(tmp_path, "owner/tuned", TUNED)
        (tmp_path / "hub-home" / "hub" / "models--owner--tuned" / "refs" / "main").write_text("../../../..")
        with pytest.raises(ModelNotFound):
            pretrained.find("owner/tuned", offline=True)

    def test_an_unreachable_hub_is_named(self) -> None:
        with pytest.raises(ModelNotFound, match=r"the hub repository owner/tuned: cannot reach http://127.0.0.1:9"):
            pretrained.find("owner/tuned")


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, gemlet.pretrained\n"
        "heavy = {'huggingface_hub', 'tqdm', 'platformdirs', 'requests', 'pip'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
