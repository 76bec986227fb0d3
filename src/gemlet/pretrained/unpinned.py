"""Any other hub repository, such as a fine-tune: its bytes are not known in advance."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gemlet.errors import ModelError, ModelNotFound
from gemlet.pretrained.hub import ANSWER_S, HubHost, library, reasons
from gemlet.pretrained.hub_cache import cached_snapshot, hub_cache_folder
from gemlet.pretrained.place import PlaceError, one_line
from gemlet.pretrained.progress import Progress, Silent

_FILES = ("*.json", "*.safetensors", "*.model", "README.md")
_IGNORED = ("onnx/*", "openvino/*", "checkpoint-*/*")


def find_unpinned(name: str, *, offline: bool, refresh: bool, progress: Progress) -> Path:
    """The folder of any other hub repository, in the hub's own cache; its integrity is the hub's, nothing is pinned.

    A whole snapshot of `main` that is already there is used as it is; `refresh` asks the hub for a newer one.
    Raises ModelNotFound, or ModelError when the disk is full.
    """
    cached = cached_snapshot(name)
    if cached and (offline or not refresh):
        return cached
    tried = [f"the hub's cache {hub_cache_folder()}: no whole snapshot of {name}"]
    if offline:
        raise ModelNotFound(name, [*tried, "the network: not tried, since offline is set; pull once without it"])
    host = HubHost()
    try:
        with reasons(name, host.address):
            hub = library()
            url = hub.hf_hub_url(name, "config.json", endpoint=host.address)
            host.reach(url, hub.utils.build_hf_headers(library_name="gemlet"))
            progress.message(f"fetching from the hub repository {name}; its files are not pinned")
            with _bars(not isinstance(progress, Silent)):
                folder = hub.snapshot_download(
                    name,
                    cache_dir=hub_cache_folder(),
                    allow_patterns=list(_FILES),
                    ignore_patterns=list(_IGNORED),
                    endpoint=host.address,
                    etag_timeout=ANSWER_S,
                )
    except PlaceError as failure:
        if cached:
            progress.message(f"the hub repository {name}: {failure}; using the copy in the hub's cache")
            return cached
        raise ModelNotFound(name, [*tried, f"the hub repository {name}: {failure}"]) from None
    except OSError as error:
        raise ModelError(f"cannot write the hub's cache {hub_cache_folder()}: {one_line(error)}") from error
    return Path(folder)


@contextmanager
def _bars(shown: bool) -> Iterator[None]:
    """Keep the hub's own progress bars quiet if the caller wants to hear nothing."""
    utils = library().utils
    if shown or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
