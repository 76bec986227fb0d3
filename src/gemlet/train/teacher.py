"""Vectors that a better model has for the same texts.   (TrainingSet, file or folder → [rows, columns, dim])"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gemlet.dataset import whole_file
from gemlet.errors import InputError
from gemlet.train.rows import TrainingSet
from gemlet.vectors import FloatArray

_ROLES = ("query", "document")


def teacher_vectors(one: TrainingSet, source: str | None, kept: Path, batch_size: int) -> FloatArray | None:
    """The teacher's vectors of one set's texts, memory-mapped where they are a file.

    source  a .npy file [rows, columns, dim] or [rows, columns · dim]; the folder of a model that sentence-transformers
            loads; None: the rows' own column `teacher`, or no teacher
    kept    where a model's vectors are kept, so that a run which goes on does not make them again

    Raises InputError for a file of another shape, or rows whose kind has no use for a teacher.
    """
    if source is None:
        return _own(one)
    if one.kind not in ("pairs", "texts"):
        raise InputError(f"{one.name}: a teacher is for pairs and texts, and these rows are {one.kind}: leave it out")
    path = Path(source)
    if path.suffix == ".npy":
        return _read(path, one)
    if not path.is_dir():
        raise InputError(f"there is no teacher {source}: name a .npy file, or the folder of a model")
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(str(kept)) as file:
            np.save(file, _embed(path, one, batch_size))
    return _read(kept, one)


def own_vectors(
    student: Any, one: TrainingSet, prompts: Sequence[str], kept: Path, batch_size: int, *, progress: bool
) -> FloatArray:
    """What the student itself has for texts before it learns, [rows, 1, dim]; made once, and kept."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(str(kept)) as file:
            texts = [text for (text,) in one.texts]
            np.save(file, encode(student, texts, prompts, batch_size, progress=progress)[:, None])
    return _read(kept, one)


def encode(
    model: Any, texts: Sequence[str], prompts: Sequence[str], batch_size: int, *, progress: bool = False
) -> FloatArray:
    """[texts, dim]; see prompted()."""
    given = prompted(texts, prompts)
    vectors: FloatArray = model.encode(given, prompt="", batch_size=batch_size, show_progress_bar=progress)
    return vectors


def prompted(texts: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Each text behind the next of the prompts."""
    return [prompts[row % len(prompts)] + text for row, text in enumerate(texts)]


def _own(one: TrainingSet) -> FloatArray | None:
    if one.teacher is None:
        return None
    try:
        vectors = np.array(one.teacher, np.float32)
    except (TypeError, ValueError):
        vectors = np.empty(0, np.float32)
    return _shaped(vectors, one, f"{one.name}: the column `teacher`")


def _read(path: Path, one: TrainingSet) -> FloatArray:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    return _shaped(vectors, one, str(path))


def _shaped(vectors: Any, one: TrainingSet, what: str) -> FloatArray:
    columns = len(one.columns)
    flat = vectors.reshape(len(vectors), -1) if vectors.ndim in (2, 3) and vectors.size else vectors
    wrong = vectors.ndim == 3 and vectors.shape[1] != columns
    if flat.ndim != 2 or len(flat) != len(one) or flat.shape[1] % columns or wrong:
        raise InputError(
            f"{what} holds {list(vectors.shape)}, and {one.name} has {len(one)} rows of {columns} texts: it must be "
            f"[{len(one)}, {columns}, dimension]"
        )
    shaped: FloatArray = flat.reshape(len(one), columns, -1)
    return shaped


def _embed(folder: Path, one: TrainingSet, batch_size: int) -> FloatArray:
    """Each text once, with the teacher's own prompts for queries and documents where it has them."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), local_files_only=True)
    columns = [
        _column(model, [row[i] for row in one.texts], _ROLES[min(i, 1)], batch_size) for i in range(len(one.columns))
    ]
    return np.stack(columns, axis=1)


def _column(model: Any, texts: Sequence[str], role: str, batch_size: int) -> FloatArray:
    prompt = model.prompts.get(role, "")
    unique = list(dict.fromkeys(texts))
    vectors = model.encode(unique, prompt=prompt, batch_size=batch_size, show_progress_bar=False)
    place = {text: i for i, text in enumerate(unique)}
    found: FloatArray = np.asarray(vectors, np.float32)[[place[text] for text in texts]]
    return found
