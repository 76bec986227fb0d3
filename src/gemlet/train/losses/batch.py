"""What is known of a batch before the model sees it.   (columns of tokens, labels → Batch)"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gemlet.errors import InputError
from gemlet.train.losses.gather import first_row, gather, require_same
from gemlet.train.losses.sameness import fingerprints, same
from gemlet.train.losses.settings import LossSettings


@dataclass(frozen=True)
class Batch:
    """B rows of this rank, among N rows of all ranks (or of this one, where nothing is gathered).

    own      [B] int64: which of the N are this rank's
    keys     [N, C, 2] fingerprints of all texts, or None: duplicates are not looked for
    groups   [N] int64, or None: rows of one group are no negatives of one another
    teacher  [B, C, t], or None
    """

    own: Tensor
    keys: Tensor | None
    groups: Tensor | None
    teacher: Tensor | None

    def no_negatives(self, rows: Tensor) -> Tensor | None:
        """[R] of the N → [R, N] bool: what is no negative of a row, and never the row itself.

        Equation 3: a query or positive that is the same text. As printed it would take out the row's own positive too,
        which the loss needs; we keep it.
        """
        found = None
        if self.keys is not None:
            queries, positives = self.keys[:, 0], self.keys[:, 1]
            found = same(queries[rows], queries) | same(positives[rows], positives)
        if self.groups is not None:
            together = self.groups[rows, None] == self.groups
            found = together if found is None else found | together
        return None if found is None else found.scatter(1, rows[:, None], False)

    def no_hard_negatives(self, rows: Tensor) -> Tensor | None:
        """[R] of the N → [R, K] bool: hard negatives that are the row's own positive once more. Not in the paper."""
        return None if self.keys is None else (self.keys[rows, 2:] == self.keys[rows, 1:2]).all(dim=-1)


def read_batch(columns: list[dict[str, Any]], labels: Tensor | None, settings: LossSettings) -> Batch:
    """Columns as the tokenizer gives them, labels as RecipeLoss takes them; all ranks call it together.

    Raises InputError for fewer than two columns, for labels that are neither groups nor a teacher's vectors, for a
    teacher's vector that is not finite, and, with `settings.gather`, where the ranks' batches differ in shape.
    """
    if len(columns) < 2:
        raise InputError(f"this loss takes two columns or more (query, positive, hard negatives), not {len(columns)}")
    keys = torch.stack([fingerprints(column) for column in columns], dim=1)
    rows, first = len(keys), 0
    groups, teacher = _read_labels(labels, rows, len(columns))
    if settings.gather:
        kinds = (int(groups is not None), 0 if teacher is None else teacher.shape[-1])
        require_same((rows, len(columns), *kinds), keys.device)
        first, keys, groups = first_row(rows), gather(keys), None if groups is None else gather(groups)
    own = torch.arange(first, first + rows, device=keys.device)
    return Batch(own, keys if settings.mask_duplicates else None, groups, teacher)


def _read_labels(labels: Tensor | None, rows: int, columns: int) -> tuple[Tensor | None, Tensor | None]:
    """Groups [B], or a teacher's vectors [B, C, t], or neither."""
    if labels is None:
        return None, None
    if not labels.is_floating_point() and labels.shape == (rows,):
        return labels.long(), None
    if labels.is_floating_point() and labels.ndim in (2, 3) and len(labels) == rows:
        flat = labels.detach().flatten(1)
        if flat.shape[1] and flat.shape[1] % columns == 0:
            return None, _finite(flat.view(rows, columns, -1))
    raise InputError(
        f"labels are {labels.dtype} {list(labels.shape)} for {rows} rows of {columns} texts: this loss takes whole "
        "numbers [rows] (groups) or a teacher's vectors [rows, columns · dimension]; scored pairs need another loss"
    )


def _finite(teacher: Tensor) -> Tensor:
    broken = (~teacher.isfinite().all(dim=-1)).nonzero().tolist()
    if broken:
        row, column = broken[0]
        raise InputError(f"a teacher's vector is not finite (row {row} of a batch, column {column}): make it anew")
    return teacher
