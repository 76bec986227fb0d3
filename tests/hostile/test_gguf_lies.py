"""One test for each way a GGUF file can lie."""

import struct
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_parts import ARRAY, BOOL, F32, STRING, U32, Parts, array, take_apart, text, u32
from tiny_tokenizer import SIZE, pieces

from gemlet import _core
from gemlet.errors import InputError, ModelError, OutputError, UnsupportedModel, WeightsError
from gemlet.gguf import write_gguf


@pytest.fixture(scope="module")
def blob(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(tiny_checkpoint, path)
    return path.read_bytes()


@pytest.fixture
def parts(blob: bytes) -> Parts:
    return take_apart(blob)


def read(path: Path, content: bytes) -> _core.Tokenizer:
    """Through everything that an embedder asks of the file."""
    path.write_bytes(content)
    gguf = _core.Gguf.open(str(path))
    gguf.config()
    assert gguf.metadata
    return gguf.tokenizer()


def test_the_sound_file_is_read(parts: Parts, blob: bytes, tmp_path: Path) -> None:
    assert parts.join() == blob
    assert read(tmp_path / "a.gguf", blob).vocab_size == SIZE
    parts.version = 2
    assert read(tmp_path / "b.gguf", parts.join()).vocab_size == SIZE


def set_fields(**fields: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        for name, value in fields.items():
            assert hasattr(parts, name)
            setattr(parts, name, value)

    return change


def set_place(name: str, **fields: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        for attribute, value in fields.items():
            setattr(parts.place(name), attribute, value)

    return change


def put(key: str, value: bytes) -> Callable[[Parts], None]:
    return lambda parts: parts.put(key, value)


def drop(key: str) -> Callable[[Parts], None]:
    return lambda parts: parts.drop(key)


def overlap(parts: Parts) -> None:
    parts.place("dense_3.weight").offset = parts.place("dense_2.weight").offset


def twice(parts: Parts) -> None:
    parts.tensors.append(parts.tensors[-1])


def key_twice(parts: Parts) -> None:
    parts.metadata.append(parts.metadata[-1])


def change_token(number: int, kind: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        types = bytearray(parts.get("tokenizer.ggml.token_type"))
        struct.pack_into("<i", types, 16 + 4 * number, kind)
        parts.put("tokenizer.ggml.token_type", bytes(types))

    return change


def change_score(parts: Parts) -> None:
    scores = bytearray(parts.get("tokenizer.ggml.scores"))
    struct.pack_into("<f", scores, 16 + 4 * (SIZE - 200), float("nan"))
    parts.put("tokenizer.ggml.scores", bytes(scores))


def tokens_twice(parts: Parts) -> None:
    parts.put("tokenizer.ggml.tokens", array(STRING, SIZE, text(b"twice") * SIZE))


def rename(parts: Parts) -> None:
    parts.tensors = [(b"dense_2.bias" if name == b"dense_2.weight" else name, p) for name, p in parts.tensors]


ARCH = "gemma-embedding."
GGML = "tokenizer.ggml."
HUGE = 2**64 - 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (set_fields(magic=b"GGML"), WeightsError, "does not begin with `GGUF`"),
        (set_fields(version=1), UnsupportedModel, "GGUF version 1; 2 and 3"),
        (set_fields(version=4), UnsupportedModel, "GGUF version 4; 2 and 3"),
        (set_fields(version=3 << 24), UnsupportedModel, "big-endian"),
        (set_fields(tensor_count=HUGE), WeightsError, "18446744073709551615 tensors, more than fit"),
        (set_fields(value_count=HUGE), WeightsError, "metadata values, more than fit"),
        (set_fields(value_count=10**4), WeightsError, "the file is damaged"),
        (set_fields(data=b""), WeightsError, "lies outside the file"),
        (put("x", struct.pack("<I", 13)), WeightsError, "`x` has the unknown type 13"),
        (put("x", struct.pack("<IQ", STRING, HUGE)), WeightsError, "letters in a string, more than fit"),
        (put("x", array(STRING, HUGE, b"")), WeightsError, "array elements, more than fit"),
        (put("x", array(F32, 2**62, b"")), WeightsError, "array elements, more than fit"),
        (put("x", array(STRING, 2, text(b"a") + struct.pack("<Q", 2**63))), WeightsError, "more than fit"),
        (put("x", array(99, 1, bytes(4))), WeightsError, "`x` has the unknown type 99"),
        (put("x", array(ARRAY, 1, array(U32, 1, bytes(4))[4:])), UnsupportedModel, "`x` is an array of arrays"),
        (key_twice, WeightsError, "is there twice"),
        (put("general.alignment", u32(0)), WeightsError, "alignment` is no number from 8"),
        (put("general.alignment", u32(48)), WeightsError, "no power of two"),
        (put("general.alignment", u32(2**31)), WeightsError, "alignment` is no number from 8"),
        (put("general.alignment", struct.pack("<If", F32, 32)), WeightsError, "alignment` is no number from 8"),
        (put("general.alignment", array(U32, 0, b"")), WeightsError, "alignment` is no number from 8"),
        (
            put("general.architecture", struct.pack("<I", STRING) + text(b"llama")),
            UnsupportedModel,
            "is `llama`; gemlet",
        ),
        (put("general.architecture", u32(1)), UnsupportedModel, "architecture is missing"),
        (drop("general.architecture"), UnsupportedModel, "architecture is missing"),
        (set_place("dense_2.weight", offset=HUGE), WeightsError, "lies outside the file"),
        (set_place("dense_2.weight", offset=2**40), WeightsError, "lies outside the file"),
        (set_place("dense_2.weight", offset=1), WeightsError, "is not aligned"),
        (set_place("dense_2.weight", dims=[2**40, 2**40]), WeightsError, "impossible shape"),
        (set_place("dense_2.weight", dims=[2**62, 3]), WeightsError, "`dense_2.weight` lies outside the file"),
        (set_place("dense_2.weight", dims=[2**63, 3]), WeightsError, "impossible shape"),
        (set_place("dense_2.weight", dims=[0, 64]), WeightsError, "impossible shape"),
        (set_place("dense_2.weight", dims=[33, 64]), WeightsError, "rows of 33, which are no whole blocks"),
        (set_place("dense_2.weight", dims=[]), WeightsError, "0 dimensions"),
        (set_place("dense_2.weight", dims=[32] * 5), WeightsError, "5 dimensions"),
        (set_place("dense_2.weight", dims=[64, 10**6]), WeightsError, "outside the file"),
        (set_place("dense_2.weight", type=0), WeightsError, "`dense_3.weight` overlaps another"),
        (
            set_place("dense_2.weight", type=16),
            UnsupportedModel,
            "`dense_2.weight`: IQ2_XXS is not read yet; these",
        ),
        (
            set_place("dense_2.weight", type=14),
            WeightsError,
            "rows of 64, which are no whole blocks of 256",
        ),
        (set_place("dense_2.weight", type=4), UnsupportedModel, "number 4 is not read yet"),
        (set_place("dense_2.weight", type=2**32 - 1), UnsupportedModel, "number 4294967295 is not read"),
        (overlap, WeightsError, "overlaps another"),
        (twice, WeightsError, "is there twice"),
        (rename, UnsupportedModel, "`dense_2.bias` is none of EmbeddingGemma's"),
        (lambda p: p.drop_tensor("dense_2.weight"), WeightsError, "--sentence-transformers-dense-modules"),
        (lambda p: p.drop_tensor("dense_3.weight"), WeightsError, "no dense head"),
        (lambda p: p.drop_tensor("token_embd.weight"), WeightsError, "no tensor `token_embd.weight`"),
        (drop(ARCH + "block_count"), UnsupportedModel, "block_count` is missing"),
        (put(ARCH + "block_count", u32(2**32 - 1)), UnsupportedModel, "block_count` is no number"),
        (put(ARCH + "block_count", u32(0)), UnsupportedModel, "block_count` is no number"),
        (put(ARCH + "block_count", struct.pack("<Iq", 11, -1)), UnsupportedModel, "block_count` is no number"),
        (put(ARCH + "block_count", struct.pack("<If", F32, 1.5)), UnsupportedModel, "is not a whole number"),
        (put(ARCH + "block_count", struct.pack("<If", F32, float("nan"))), UnsupportedModel, "is no number"),
        (put(ARCH + "block_count", array(U32, 2, bytes(8))), UnsupportedModel, "block_count` is no number"),
        (put(ARCH + "attention.sliding_window", u32(1024)), UnsupportedModel, "1024; this engine runs 512"),
        (put(ARCH + "pooling_type", u32(2)), UnsupportedModel, "pooling_type` is 2; this engine runs 1"),
        (put(ARCH + "attention.value_length", u32(64)), UnsupportedModel, "value_length` is 64"),
        (put(ARCH + "dense_3_feat_in", u32(64)), UnsupportedModel, "dense_3_feat_in` is 64"),
        (put(ARCH + "attention.sliding_window_pattern", array(BOOL, 1, b"\1")), UnsupportedModel, "each of 2 layers"),
        (put(GGML + "model", struct.pack("<I", STRING) + text(b"gpt2")), UnsupportedModel, "is `gpt2`"),
        (put(GGML + "add_space_prefix", struct.pack("<IB", BOOL, 1)), UnsupportedModel, "add_space_prefix is not"),
        (drop(GGML + "add_space_prefix"), UnsupportedModel, "add_space_prefix is not false"),
        (drop(GGML + "tokens"), UnsupportedModel, "tokens` is missing"),
        (put(GGML + "tokens", array(U32, 1, bytes(4))), UnsupportedModel, "tokens` is of another type"),
        (put(GGML + "tokens", array(STRING, 1, text(b"a"))), WeightsError, "bos_token_id` is no token"),
        (put(GGML + "scores", array(F32, 1, bytes(4))), WeightsError, "not equally long"),
        (put(GGML + "token_type", array(5, 1, bytes(4))), WeightsError, "not equally long"),
        (put(GGML + "bos_token_id", u32(SIZE)), WeightsError, "bos_token_id` is no token"),
        (put(GGML + "bos_token_id", u32(20)), WeightsError, "lacks a control piece for bos"),
        (put(GGML + "eos_token_id", u32(2**32 - 1)), WeightsError, "eos_token_id` is no token"),
        (put("gemlet.tokens_outside", array(STRING, 1, text(b""))), WeightsError, "is empty"),
        (put("gemlet.tokens_outside", u32(1)), UnsupportedModel, "is of another type"),
        (put("gemlet.tokenizer_tables", u32(1)), UnsupportedModel, "is of another type"),
        (tokens_twice, WeightsError, "is there twice"),
        (change_score, WeightsError, "has no score"),
        (change_token(SIZE - 1, 5), UnsupportedModel, "has type 5"),
        (change_token(SIZE - 1, -1), UnsupportedModel, "has type -1"),
        (change_token(SIZE - 1, 6), WeightsError, "is a byte, but does not spell one"),
    ],
)
def test_lies(
    parts: Parts, tmp_path: Path, change: Callable[[Parts], None], error: type[ModelError], message: str
) -> None:
    change(parts)
    with pytest.raises(error, match=message) as caught:
        read(tmp_path / "lie.gguf", parts.join())
    assert "\n" not in str(caught.value)
    assert "lie.gguf" in str(caught.value)


def test_every_truncation_of_the_header_is_refused(blob: bytes, parts: Parts, tmp_path: Path) -> None:
    head = len(blob) - len(parts.data)
    for keep in [*range(1, 200), *range(200, head, 97), head, len(blob) - 32]:
        with pytest.raises(ModelError):
            read(tmp_path / "short.gguf", blob[:keep])


def test_flipped_header_bits_are_survived(blob: bytes, parts: Parts, tmp_path: Path) -> None:
    head = len(blob) - len(parts.data)
    changed = bytearray(blob)
    for at in [*range(0, 3000), *range(3000, head, 53)]:
        for bit in (0, 7):
            changed[at] ^= 1 << bit
            try:
                read(tmp_path / "flip.gguf", changed)  # a flip in a name or a score may do no harm
            except ModelError as error:
                assert "\n" not in str(error)
            changed[at] ^= 1 << bit


def test_keys_that_nobody_knows_are_ignored(parts: Parts, tmp_path: Path) -> None:
    for kind, form in enumerate(["B", "b", "H", "h", "I", "i", "f", "?"]):
        parts.put(f"other.{kind}", struct.pack("<I" + form, kind, 1))
    parts.put("other.u64", struct.pack("<IQ", 10, HUGE))
    parts.put("other.i64", struct.pack("<Iq", 11, -(2**63)))
    parts.put("other.f64", struct.pack("<Id", 12, 0.1))
    parts.put("other.text", struct.pack("<I", STRING) + text(b"\xff"))
    parts.put("other.list", array(STRING, 2, text(b"a") + text(b"")))
    parts.put("other.empty", array(F32, 0, b""))
    assert read(tmp_path / "more.gguf", parts.join()).vocab_size == SIZE
    metadata = _core.Gguf.open(str(tmp_path / "more.gguf")).metadata
    assert [metadata[f"other.{kind}"] for kind in range(8)] == [1] * 8
    assert (metadata["other.u64"], metadata["other.i64"], metadata["other.f64"]) == (HUGE, -(2**63), 0.1)
    assert (metadata["other.text"], metadata["other.list"], metadata["other.empty"]) == ("�", ["a", ""], [])


def test_holes_between_tensors_are_allowed(parts: Parts, tmp_path: Path) -> None:
    for _, place in parts.tensors:
        place.offset += 64
    parts.data = bytes(64) + parts.data
    assert read(tmp_path / "holes.gguf", parts.join()).vocab_size == SIZE


TABLES = ("slots", "wholes", "begins", "pages", "characters", "neighbours", "kinds", "text")
FIELDS = {"format": 0, "source": 8, "pieces": 16, "outside": 20, "bos": 24, "eos": 28, "slot_bits": 32, "merges": 36}
FIELDS |= {"characters": 40, "text": 44}
TEXTS = ["the query in a title", " <b>x</b>  \n\n日本語 é \x00 <unused3>", "a" * 100]


class Tables:
    """The tokenizer's tables in a file's data, which may be changed."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        (self.offset,) = struct.unpack_from("<Q", parts.get("gemlet.tokenizer_tables"), 4)
        self.bytes = bytearray(parts.data[self.offset :])
        fields = {name: self.field(name) for name in ("pieces", "outside", "slot_bits", "merges", "characters", "text")}
        pieces = fields["pieces"] + fields["outside"]
        sizes = [8 << fields["slot_bits"], 4 * fields["merges"], 4 * (pieces + 1), 4 * 0x1100, 4 * fields["characters"]]
        sizes += [8192, pieces, fields["text"]]
        self.begins = dict(zip(TABLES, accumulate([64, *sizes]), strict=False))
        assert 64 + sum(sizes) == len(self.bytes)

    def field(self, name: str) -> int:
        return int(struct.unpack_from("<I", self.bytes, FIELDS[name])[0])

    def table(self, name: str) -> slice:
        ends = [*self.begins.values(), len(self.bytes)]
        return slice(self.begins[name], ends[TABLES.index(name) + 1])

    def fill(self, name: str, form: str, value: int) -> None:
        size = self.table(name).stop - self.table(name).start
        self.bytes[self.table(name)] = struct.pack(form, value) * (size // struct.calcsize(form))

    def file(self) -> bytes:
        self.parts.data = self.parts.data[: self.offset] + bytes(self.bytes)
        return self.parts.join()


def use(tokenizer: _core.Tokenizer) -> list[int]:
    """All that reads the tables."""
    ids, _ = tokenizer.encode(TEXTS, True)
    tokenizer.decode(range(tokenizer.vocab_size))
    assert all(tokenizer.id_to_piece(number) for number in range(tokenizer.vocab_size))
    assert tokenizer.piece_to_id("no such piece") is None
    return [int(number) for number in ids]


def test_the_tables_are_used(parts: Parts, blob: bytes, tmp_path: Path) -> None:
    sound = use(read(tmp_path / "sound.gguf", blob))
    tables = Tables(parts)
    tables.fill("slots", "<Q", HUGE)  # no merges
    assert len(use(read(tmp_path / "split.gguf", tables.file()))) > len(sound)


def stale(field: str) -> Callable[[Parts, Tables], None]:
    def change(parts: Parts, tables: Tables) -> None:
        tables.bytes[FIELDS[field]] ^= 1

    return change


def cut_off(parts: Parts, tables: Tables) -> None:
    del tables.bytes[:]


def elsewhere(offset: int) -> Callable[[Parts, Tables], None]:
    return lambda parts, tables: parts.put("gemlet.tokenizer_tables", struct.pack("<IQ", 10, offset))


@pytest.mark.parametrize(
    "change",
    [
        stale("format"),
        stale("source"),
        cut_off,
        elsewhere(0),
        elsewhere(2**40),
        elsewhere(HUGE),
        lambda parts, tables: parts.drop("gemlet.tokenizer_tables"),
    ],
)
def test_without_its_own_tables_the_tokenizer_is_derived(
    parts: Parts, blob: bytes, tmp_path: Path, change: Callable[[Parts, Tables], None]
) -> None:
    tables = Tables(parts)
    tables.fill("slots", "<Q", HUGE)
    change(parts, tables)
    assert use(read(tmp_path / "derived.gguf", tables.file())) == use(read(tmp_path / "sound.gguf", blob))


@pytest.mark.parametrize(
    ("array", "from_end", "flip"),
    [("tokens", 2, 0x0F), ("scores", 3, 1), ("token_type", 4, 7)],  # <unused8> for <unused7>, a score, user-defined
)
def test_tables_of_other_arrays_are_not_used(
    parts: Parts, tmp_path: Path, array: str, from_end: int, flip: int
) -> None:
    value = bytearray(parts.get(GGML + array))
    value[-from_end] ^= flip
    parts.put(GGML + array, bytes(value))
    tables = Tables(parts)
    tables.fill("slots", "<Q", HUGE)
    derived = use(read(tmp_path / "other.gguf", tables.file()))
    parts.drop("gemlet.tokenizer_tables")
    assert derived == use(read(tmp_path / "none.gguf", parts.join()))


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, value) for name in list(FIELDS)[2:] for value in (0, 1, 2**31, 2**32 - 1) if (name, value) != ("eos", 1)]
    + [("slot_bits", 33), ("slot_bits", 64), ("slot_bits", 5), ("bos", SIZE - 1), ("pieces", SIZE - 1)],
)
def test_a_wrong_number_in_the_tables_head(parts: Parts, tmp_path: Path, field: str, value: int) -> None:
    tables = Tables(parts)
    struct.pack_into("<I", tables.bytes, FIELDS[field], value)
    try:
        use(read(tmp_path / "head.gguf", tables.file()))
    except WeightsError as error:
        assert "damaged" in str(error) or "lacks" in str(error)


@pytest.mark.parametrize("name", ["begins", "pages", "kinds", "text"])
@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
def test_a_table_of_one_number_is_refused(parts: Parts, tmp_path: Path, name: str, value: int) -> None:
    tables = Tables(parts)
    tables.fill(name, "B", value)
    with pytest.raises(WeightsError, match=r"damaged|lacks|does not spell one"):
        read(tmp_path / "flat.gguf", tables.file())


@pytest.mark.parametrize("value", [0, 1, SIZE, SIZE + 1, 2**31, 2**32 - 2])
@pytest.mark.parametrize("name", ["wholes", "characters"])
def test_wild_ids_are_never_given_out(parts: Parts, tmp_path: Path, name: str, value: int) -> None:
    tables = Tables(parts)
    tables.fill(name, "<I", value)
    if name == "characters":  # the space must be a piece
        page = tables.begins["pages"]
        (first,) = struct.unpack_from("<I", tables.bytes, page)
        struct.pack_into("<i", tables.bytes, tables.begins["characters"] + 4 * (first + 32), pieces().index("▁"))
    tokenizer = read(tmp_path / "wild.gguf", tables.file())
    for sentence in TEXTS:
        try:
            ids, _ = tokenizer.encode([sentence], False)
        except WeightsError as error:
            assert "damaged" in str(error)
        except InputError as error:
            assert "image_soft_token" in str(error)
        else:
            assert all(0 <= number < SIZE for number in ids)


@pytest.mark.parametrize("value", [0, 0x00FFFFFF, 0xFFFFFF << 24, HUGE - 1])
def test_a_table_of_merges_without_a_free_slot(parts: Parts, tmp_path: Path, value: int) -> None:
    tables = Tables(parts)
    tables.fill("slots", "<Q", value)
    tokenizer = read(tmp_path / "full.gguf", tables.file())
    ids, _ = tokenizer.encode(["the query in a title"], False)
    assert len(ids) == len("the query in a title")


def test_a_merge_that_is_not_in_the_list(parts: Parts, tmp_path: Path) -> None:
    tables = Tables(parts)
    slots = tables.table("slots")
    for at in range(slots.start, slots.stop, 8):
        (slot,) = struct.unpack_from("<Q", tables.bytes, at)
        if slot != HUGE:
            struct.pack_into("<Q", tables.bytes, at, slot | 0xFFFFFF)
    with pytest.raises(WeightsError, match="tables are damaged, they name a piece -1"):
        read(tmp_path / "rank.gguf", tables.file()).encode(["the"], False)


def test_pieces_that_are_no_utf8(parts: Parts, tmp_path: Path) -> None:
    tables = Tables(parts)
    at = tables.bytes.index("日本語".encode(), tables.begins["text"])
    tables.bytes[at] = 0xFF
    tokenizer = read(tmp_path / "bytes.gguf", tables.file())
    number = next(
        i for i in range(SIZE) if "\ufffd" in tokenizer.id_to_piece(i) and i != tokenizer.piece_to_id("\ufffd")
    )
    assert "\ufffd" in tokenizer.decode([number])
    tables.bytes[tables.bytes.index(b"<unused3>", tables.begins["text"]) + 2] = 0xFF
    with pytest.raises(WeightsError, match="damaged"):
        read(tmp_path / "raw.gguf", tables.file())


def test_flipped_bits_in_the_tables_are_survived(parts: Parts, tmp_path: Path) -> None:
    tables = Tables(parts)
    path = tmp_path / "flip.gguf"
    path.write_bytes(tables.file())
    begin = path.stat().st_size - len(tables.bytes)
    with open(path, "r+b", buffering=0) as file:
        for at in [*range(64), *range(64, len(tables.bytes), 23)]:
            for bit in (0, 7):
                file.seek(begin + at)
                file.write(bytes([tables.bytes[at] ^ 1 << bit]))
                try:
                    use(_core.Gguf.open(str(path)).tokenizer())
                except ModelError as error:
                    assert "\n" not in str(error)
            file.seek(begin + at)
            file.write(bytes([tables.bytes[at]]))


PACKED = "gemlet.packed_matrices"


class Packed:
    """The packed matrices in a file's data, which may be changed."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        (self.offset,) = struct.unpack_from("<Q", parts.get(PACKED), 4)
        (end,) = struct.unpack_from("<Q", parts.get("gemlet.tokenizer_tables"), 4)
        self.bytes = bytearray(parts.data[self.offset : end])

    def fill(self, value: int) -> None:
        """All but the head."""
        self.bytes[64:] = bytes([value]) * (len(self.bytes) - 64)

    def file(self) -> bytes:
        end = self.offset + len(self.bytes)
        self.parts.data = self.parts.data[: self.offset] + bytes(self.bytes) + self.parts.data[end:]
        return self.parts.join()


IDS, CU_SEQLENS = np.arange(3, 20, dtype=np.int32), np.array([0, 17], np.int32)


def vector(path: Path, content: bytes, storage: str = "int8") -> np.ndarray:
    path.write_bytes(content)
    return _core.Model(_core.Gguf.open(str(path)).config(), [(str(path), "")], storage, 1).embed(IDS, CU_SEQLENS)[0]


@pytest.fixture(scope="module")
def from_tensors(blob: bytes, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The vector without any block."""
    parts = take_apart(blob)
    parts.drop(PACKED)
    return vector(tmp_path_factory.mktemp("gguf") / "plain.gguf", parts.join())


def flip(at: int) -> Callable[[Packed], None]:
    def change(packed: Packed) -> None:
        packed.bytes[at] ^= 1

    return change


def begin_at(offset: int) -> Callable[[Packed], None]:
    return lambda packed: packed.parts.put(PACKED, struct.pack("<IQ", 10, offset))


def edit_tensor(name: str) -> Callable[[Packed], None]:
    def change(packed: Packed) -> None:
        data = bytearray(packed.parts.data)
        data[packed.parts.place(name).offset + 2] ^= 0x80  # the first number, behind its block's scale
        packed.parts.data = bytes(data)

    return change


def test_the_packed_matrices_are_used(blob: bytes, parts: Parts, from_tensors: np.ndarray, tmp_path: Path) -> None:
    sound = vector(tmp_path / "sound.gguf", blob)
    assert not np.array_equal(sound, from_tensors)
    packed = Packed(parts)
    packed.fill(0)
    assert not vector(tmp_path / "zeros.gguf", packed.file()).any()


@pytest.mark.parametrize(
    "change",
    [
        flip(0),  # another version
        flip(8),  # of other tensors
        flip(63),
        begin_at(0),
        begin_at(2**40),
        begin_at(HUGE),
        lambda packed: packed.parts.put(PACKED, struct.pack("<IQ", 10, packed.offset + 64)),
        lambda packed: packed.parts.put(PACKED, struct.pack("<IQ", 10, len(packed.parts.data))),
        lambda packed: packed.parts.put(PACKED, struct.pack("<IQ", 10, len(packed.parts.data) - 1)),
    ],
)
def test_without_its_own_block_the_matrices_are_packed_from_the_tensors(
    parts: Parts, from_tensors: np.ndarray, tmp_path: Path, change: Callable[[Packed], None]
) -> None:
    packed = Packed(parts)
    packed.fill(0)
    change(packed)
    assert np.array_equal(vector(tmp_path / "other.gguf", packed.file()), from_tensors)


@pytest.mark.parametrize("name", ["blk.0.attn_q.weight", "blk.1.ffn_down.weight", "dense_3.weight"])
def test_a_block_of_other_tensors_is_not_used(
    parts: Parts, blob: bytes, from_tensors: np.ndarray, tmp_path: Path, name: str
) -> None:
    packed = Packed(parts)
    edit_tensor(name)(packed)
    edited = vector(tmp_path / "edited.gguf", parts.join())
    parts.drop(PACKED)
    assert np.array_equal(edited, vector(tmp_path / "plain.gguf", parts.join()))
    assert not np.array_equal(edited, from_tensors)


def test_a_block_of_exchanged_tensors_is_not_used(parts: Parts, tmp_path: Path) -> None:
    one, other = parts.place("blk.0.ffn_gate.weight"), parts.place("blk.0.ffn_up.weight")
    one.offset, other.offset = other.offset, one.offset
    exchanged = vector(tmp_path / "exchanged.gguf", parts.join())
    parts.drop(PACKED)
    assert np.array_equal(exchanged, vector(tmp_path / "plain.gguf", parts.join()))


def test_a_block_that_lies_askew_is_not_used(parts: Parts, from_tensors: np.ndarray, tmp_path: Path) -> None:
    """A program that changes the metadata may move the data by 32 bytes, with all that lies in them."""
    packed = Packed(parts)
    begin = len(parts.join()) - len(parts.data)
    parts.put("x", struct.pack("<I", STRING) + text(bytes(32)))
    while (len(parts.join()) - len(parts.data) - begin) % 64 != 32:
        parts.put("x", parts.get("x")[:4] + text(bytes(len(parts.get("x")))))
    assert np.array_equal(vector(tmp_path / "askew.gguf", packed.file()), from_tensors)


@pytest.mark.parametrize("kept", [64, 65, -1])
def test_a_block_that_is_cut_off_is_refused(parts: Parts, tmp_path: Path, kept: int) -> None:
    packed = Packed(parts)
    parts.data = parts.data[: packed.offset] + bytes(packed.bytes[:kept])
    with pytest.raises(WeightsError, match=r"short\.gguf: its packed matrices are cut off"):
        vector(tmp_path / "short.gguf", parts.join())
    vector(tmp_path / "short.gguf", parts.join(), "f32")


def test_a_place_of_the_block_that_is_no_number(parts: Parts, tmp_path: Path) -> None:
    for value in (u32(1), array(10, 1, bytes(8)), struct.pack("<I", STRING) + text(b"x")):
        parts.put(PACKED, value)
        with pytest.raises(UnsupportedModel, match="packed_matrices` is of another type"):
            vector(tmp_path / "type.gguf", parts.join())


@pytest.mark.parametrize("value", [0x01, 0x7F, 0x80, 0xFF])
def test_any_bytes_in_the_block_give_a_vector(parts: Parts, tmp_path: Path, value: int) -> None:
    """Scales that are tiny, huge or NaN: wrong numbers, which the embedder reports when they are not finite."""
    packed = Packed(parts)
    packed.fill(value)
    assert vector(tmp_path / "any.gguf", packed.file()).shape == (64,)


def test_a_scale_that_is_no_number_is_reported(parts: Parts, tmp_path: Path) -> None:
    packed = Packed(parts)
    struct.pack_into("<f", packed.bytes, 64, float("nan"))
    assert np.isnan(vector(tmp_path / "nan.gguf", packed.file())).all()


@pytest.fixture(scope="module", params=["q8_0", "q4_0"])
def in_blocks(request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("blocks") / "tiny.gguf"
    write_gguf(tiny_checkpoint, path, dtype=request.param)
    return path.read_bytes()


@pytest.mark.parametrize("scale", [0x7E00, 0x7C00, 0xFC00], ids=["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("name", "checkpoints_name"),
    [
        ("token_embd", "embed_tokens"),
        ("blk.0.attn_q", "layers.0.self_attn.q_proj"),
        ("blk.1.attn_v", "layers.1.self_attn.v_proj"),
        ("blk.0.ffn_gate", "layers.0.mlp.gate_proj"),
        ("blk.1.ffn_down", "layers.1.mlp.down_proj"),
        ("dense_3", "dense.1.linear"),
    ],
)
def test_a_block_whose_scale_is_no_number_is_named(
    in_blocks: bytes, tmp_path: Path, scale: int, name: str, checkpoints_name: str
) -> None:
    """Packing does not look for it, which would make every start slower; the vector shows it."""
    from gemlet import Embedder

    path = tmp_path / "scale.gguf"
    parts = take_apart(in_blocks)
    place = parts.place(f"{name}.weight")
    data = bytearray(parts.data)
    rows = place.dims[1] if name == "token_embd" else 1  # any token's
    size = {2: 18, 6: 22, 8: 34}[place.type]
    for row in range(rows):
        struct.pack_into("<H", data, place.offset + row * place.dims[0] // 32 * size, scale)
    parts.data = bytes(data)
    path.write_bytes(parts.join())
    with pytest.raises(OutputError) as caught:
        Embedder(path).encode(["a text"])
    reason = f"tensor `{checkpoints_name}.weight` of {path} holds NaN or infinity: fetch or write the file again"
    assert str(caught.value) == f"the vector of text 0 is not finite: {reason}"


def test_ollamas_blob_is_read(parts: Parts, blob: bytes, tmp_path: Path) -> None:
    """Architecture gemma3, its keys under that name, no key of our own, no suffix."""
    from gemlet import Embedder

    (tmp_path / "own.gguf").write_bytes(blob)
    parts.put("general.architecture", struct.pack("<I", STRING) + text(b"gemma3"))
    parts.metadata = [
        (key.replace(b"gemma-embedding.", b"gemma3."), value)
        for key, value in parts.metadata
        if not key.startswith((b"gemlet.", b"gemma-embedding.dense"))
    ]
    path = tmp_path / f"sha256-{'0' * 64}"
    path.write_bytes(parts.join())
    plain, blob_of_ollama = Embedder(tmp_path / "own.gguf"), Embedder(path)
    assert blob_of_ollama.prompts == plain.prompts
    assert blob_of_ollama.max_seq_length == 2048
    assert (plain.encode_query("a text") * blob_of_ollama.encode_query("a text")).sum() > 0.999
