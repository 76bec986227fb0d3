"""What is measured with: model, quantization, dimension.   ("dim=256,quantization=f32" → Setting → Embedder)"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from gemlet.embedder import DEFAULT_MODEL, Embedder
from gemlet.errors import InputError
from gemlet.vectors import MATRYOSHKA_DIMS, FloatArray, normalize

_FULL = MATRYOSHKA_DIMS[0]
_QUANTIZATIONS = ("f32", "bf16", "q8_0")


@dataclass(frozen=True)
class Setting:
    """What makes the vectors.

    model         a published name, a folder or a .gguf file
    quantization  as Embedder takes it; None: q8_0 for a name or folder, what it holds for a .gguf
    dim           numbers of a vector; None: all 768
    """

    model: str = DEFAULT_MODEL
    quantization: Any = None
    dim: int | None = None

    def changed(self, text: str) -> "Setting":
        """The setting with what `text` changes: "dim=256", "quantization=f32", "model=FILE", joined by commas.

        Another model runs in its own quantization unless the text names one. Raises InputError for what is no setting,
        and for one that changes nothing.
        """
        found: dict[str, Any] = {}
        for part in text.split(","):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value or key not in _READERS:
                raise InputError(f"{part.strip()!r} is no setting: write dim=256, quantization=f32 or model=FILE")
            if key in found:
                raise InputError(f"{text!r} says {key} twice: leave one out")
            found[key] = _READERS[key](value)
        if found.get("model", self.model) != self.model:
            found.setdefault("quantization", None)
        changed = replace(self, **found)
        if changed == self:
            raise InputError(f"{text!r} is what it would be compared with: name another setting")
        return changed

    def named(self, base: "Setting") -> str:
        """What differs from the base, as changed() reads it."""
        parts = [f"{key}={getattr(self, key) or _DEFAULTS[key]}" for key in _READERS if self._differs(base, key)]
        return ",".join(parts)

    def _differs(self, base: "Setting", key: str) -> bool:
        return bool(getattr(self, key) != getattr(base, key))

    def __str__(self) -> str:
        return f"{self.model}, {self.quantization or 'its own quantization'}, {self.dim or _FULL} numbers"


def _dim(value: str) -> int | None:
    if value not in map(str, MATRYOSHKA_DIMS):
        raise InputError(f"dim is {value!r}: the model was trained for {', '.join(map(str, MATRYOSHKA_DIMS))}")
    return None if int(value) == _FULL else int(value)


def _quantization(value: str) -> str:
    if value not in _QUANTIZATIONS:
        raise InputError(
            f"quantization is {value!r}: a checkpoint runs in {', '.join(_QUANTIZATIONS)}; for another type write a "
            f"file, `gemlet quantize MODEL FILE.gguf --type {value}`, and compare model=FILE.gguf"
        )
    return value


_READERS: dict[str, Callable[[str], Any]] = {"model": str, "quantization": _quantization, "dim": _dim}
_DEFAULTS = {"model": DEFAULT_MODEL, "quantization": "default", "dim": _FULL}

Loader = Callable[[Setting], Embedder]
"""How a setting's model is loaded; its dim is no matter."""


def load(setting: Setting) -> Embedder:
    """The embedder of a setting. Raises ModelError and its kin."""
    return Embedder(setting.model, quantization=setting.quantization)


def by_model(settings: Iterable[Setting]) -> Iterator[tuple[Setting, list[Setting]]]:
    """Settings whose vectors are cut from the same ones: the widest of them, and all of them."""
    groups: dict[tuple[str, Any], list[Setting]] = {}
    for setting in settings:
        groups.setdefault((setting.model, setting.quantization), []).append(setting)
    for group in groups.values():
        yield max(group, key=lambda setting: setting.dim or _FULL), group


def cut(vectors: FloatArray, dim: int | None) -> FloatArray:
    """The first numbers of vectors [n, d], of unit length again: [n, dim]; all of them for None."""
    if dim is None or dim >= vectors.shape[1]:
        return vectors
    return normalize(vectors[:, :dim])
