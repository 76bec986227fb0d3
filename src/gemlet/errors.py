"""The exceptions that gemlet raises; each message says what, which, found against expected, and what to do next.

GemletError
├── ModelError
│   ├── ModelNotFound         .name .tried       no place had the checkpoint
│   ├── WeightsError          .path              truncated, lying, wrong shape, missing tensor or dense head
│   └── UnsupportedModel      .field .value      another architecture, or a setting this engine does not run
├── InputError (ValueError)
│   ├── InputTooLong          .row .tokens .limit
│   ├── UnknownPrompt         .name .available
│   └── InvalidDimension      .dim .allowed
├── OutputError                                  a vector that is not finite
├── TrainingError                                a run broke off: what is kept, and how to go on
├── GenerationError           .where             a model that writes cannot be reached, refused or broke off
├── BulkError                                    a bulk output cannot be written, or a part of it cannot be made
├── UnreadableDocument        .path .reason      binary, too large, broken, encrypted, too slow
├── StoreError                                   an index cannot be opened, read or written
│   ├── StoreNotFound     .path                  there is no index
│   ├── StoreMismatch     .expected .found .cure made by another model, dimension, prompt or chunker
│   └── StoreCorrupt      .path                  damaged, or no index at all
└── MissingExtra (ImportError) .extra

GemletWarning (UserWarning)
├── CacheWarning                                 the 8-bit file of a checkpoint cannot be kept
├── TruncationWarning                            texts were cut; the message says which and by how much
└── DoublePromptWarning                          a text that is given a prompt already begins with one
"""

import os
import sys
import warnings
from collections.abc import Sequence


class GemletError(Exception):
    """Base of everything that gemlet raises on purpose."""


class ModelError(GemletError):
    """A checkpoint cannot be found, read or run."""


class ModelNotFound(ModelError):
    """No place had the checkpoint. `tried` holds one line for each place: what it is and why it failed."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        self.name = name
        self.tried = tuple(tried)
        places = "".join(f"\n  - {line}" for line in self.tried)
        super().__init__(f"found no usable checkpoint `{name}`; tried:{places}")


class WeightsError(ModelError):
    """A file of the checkpoint is missing, truncated, corrupt or of the wrong shape."""

    def __init__(self, message: str, path: str | None = None) -> None:
        self.path = path
        super().__init__(message)


class UnsupportedModel(ModelError):
    """A well-formed checkpoint that is not an EmbeddingGemma-300M as this engine runs it."""

    def __init__(self, message: str, field: str | None = None, value: object = None) -> None:
        self.field = field
        self.value = value
        super().__init__(message)


class InputError(GemletError, ValueError):
    """The caller's arguments are wrong."""


class InputTooLong(InputError):
    """A text has more tokens than the model takes, and truncation is "error"."""

    def __init__(self, row: int, tokens: int, limit: int) -> None:
        self.row = row
        self.tokens = tokens
        self.limit = limit
        super().__init__(
            f"text {row} has {tokens} tokens, the limit is {limit}: "
            'shorten it, or pass truncation="right", "left" or "window"'
        )


class UnknownPrompt(InputError):
    """No prompt has this name."""

    def __init__(self, name: str, available: Sequence[str]) -> None:
        self.name = name
        self.available = tuple(available)
        super().__init__(f"no prompt is named {name!r}; available: {', '.join(self.available)}")


class InvalidDimension(InputError):
    """The model was not trained to be cut to this dimension."""

    def __init__(self, dim: object, allowed: Sequence[int]) -> None:
        self.dim = dim
        self.allowed = tuple(allowed)
        super().__init__(f"truncate_dim is {dim!r}; the model was trained for {', '.join(map(str, self.allowed))}")


class OutputError(GemletError):
    """A vector came out with NaN or infinity in it; the message names the row."""


class TrainingError(GemletError):
    """A run of training cannot go on: a loss that is no number, a full disk. The message says what is kept."""


class GenerationError(GemletError):
    """A language model cannot be reached or run, refused, hung, or sent no text. `where`: its address or file."""

    def __init__(self, message: str, where: str | None = None) -> None:
        self.where = where
        super().__init__(message)


class BulkError(GemletError):
    """The output of a bulk run cannot be written, or some of it cannot be made; what is finished stays."""


class UnreadableDocument(GemletError):
    """A file whose text cannot be had; `reason` continues a sentence that begins with the file's name."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class StoreError(GemletError):
    """An index cannot be opened, read or written."""


class StoreNotFound(StoreError):
    """There is no index where one was looked for."""

    def __init__(
        self, path: str, cure: str = "make it with `gemlet index FOLDER`, or name another with --index"
    ) -> None:
        self.path = path
        super().__init__(f"there is no index {path}: {cure}")


class StoreMismatch(StoreError):
    """The index was made by another model, quantization, prompt, dimension or chunker than the one that asks."""

    def __init__(self, path: str, what: str, expected: object, found: object, cure: str) -> None:
        self.path = path
        self.what = what
        self.expected = expected
        self.found = found
        self.cure = cure
        super().__init__(f"the index {path} was made with {what} {found}, not {expected}: {cure}")


class StoreCorrupt(StoreError):
    """The index is damaged. Nothing but the index is lost: it can be made again from the files."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"the index {path} is damaged ({reason}): delete it and run `gemlet index` again, the files are untouched"
        )


class MissingExtra(GemletError, ImportError):
    """A feature needs an optional dependency."""

    def __init__(self, extra: str, feature: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs an extra: pip install 'gemlet[{extra}]'")


class GemletWarning(UserWarning):
    """Base of what gemlet warns of: the result stands, but may not be what was meant."""


class CacheWarning(GemletWarning):
    """The 8-bit file of a checkpoint cannot be kept, so that every start packs its weights again."""


class TruncationWarning(GemletWarning):
    """Texts were longer than the model takes and were cut."""


class DoublePromptWarning(GemletWarning):
    """A text that is given a prompt already begins with one."""


def warn(message: str, category: type[GemletWarning]) -> None:
    """Warn in the name of the first line outside of gemlet, whichever of its functions was called there."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "gemlet":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
