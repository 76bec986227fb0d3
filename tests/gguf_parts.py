"""A .gguf file taken apart and joined again, for tests that change one."""

import struct
from dataclasses import dataclass, field

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


@dataclass
class Place:
    dims: list[int]
    type: int
    offset: int


@dataclass
class Parts:
    """A file taken apart: metadata as encoded values, tensors without their bytes, the data."""

    metadata: list[tuple[bytes, bytes]] = field(default_factory=list)
    tensors: list[tuple[bytes, Place]] = field(default_factory=list)
    data: bytes = b""
    magic: bytes = b"GGUF"
    version: int = 3
    alignment: int = 32
    tensor_count: int | None = None
    value_count: int | None = None

    def get(self, key: str) -> bytes:
        return dict(self.metadata)[key.encode()]

    def put(self, key: str, value: bytes) -> None:
        self.drop(key)
        self.metadata.append((key.encode(), value))

    def drop(self, key: str) -> None:
        self.metadata = [(k, v) for k, v in self.metadata if k != key.encode()]

    def place(self, name: str) -> Place:
        return dict(self.tensors)[name.encode()]

    def drop_tensor(self, name: str) -> None:
        self.tensors = [(n, p) for n, p in self.tensors if n != name.encode()]

    def join(self) -> bytes:
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        values = len(self.metadata) if self.value_count is None else self.value_count
        head = self.magic + struct.pack("<IQQ", self.version, tensors, values)
        head += b"".join(text(key) + value for key, value in self.metadata)
        for name, place in self.tensors:
            head += text(name) + struct.pack(f"<I{len(place.dims)}Q", len(place.dims), *place.dims)
            head += struct.pack("<IQ", place.type, place.offset)
        return head + bytes(-len(head) % self.alignment) + self.data


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def u32(value: int) -> bytes:
    return struct.pack("<II", U32, value)


def array(element: int, count: int, data: bytes) -> bytes:
    return struct.pack("<IIQ", ARRAY, element, count) + data


def take_apart(blob: bytes) -> Parts:
    at = 8
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, U32: 4, 5: 4, F32: 4, BOOL: 1, 10: 8, 11: 8, 12: 8}

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, blob, at)
        at += struct.calcsize("<" + form)
        return int(value)

    def take_text() -> bytes:
        nonlocal at
        length = take("Q")
        at += length
        return blob[at - length : at]

    tensors, values = take("Q"), take("Q")
    parts = Parts()
    for _ in range(values):
        key, begin = take_text(), at
        kind, count = take("I"), 1
        if kind == ARRAY:
            kind, count = take("I"), take("Q")
        for _ in range(count if kind == STRING else 0):
            take_text()
        at += 0 if kind == STRING else count * sizes[kind]
        parts.metadata.append((key, blob[begin:at]))
    for _ in range(tensors):
        name = take_text()
        dims = [take("Q") for _ in range(take("I"))]
        parts.tensors.append((name, Place(dims, take("I"), take("Q"))))
    parts.data = blob[at + -at % 32 :]
    return parts
