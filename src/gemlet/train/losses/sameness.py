"""Which texts of a batch are the same.   (token ids → fingerprints → pairs that are equal)"""

import hashlib
from typing import Any

import torch
from torch import Tensor


def fingerprints(features: dict[str, Any]) -> Tensor:
    """A column as the tokenizer gives it → [B, 2] int64: equal where the texts' token ids are, prompts included.

    128 bits of BLAKE2b. Padding does not count, so that ranks and mini-batches padded to different widths agree.
    Takes both of sentence-transformers' forms: input_ids [B, T] with attention_mask, and texts end to end with
    cu_seq_lens_q (flash attention).
    """
    ids = features["input_ids"]
    if "cu_seq_lens_q" in features:
        texts = list(ids.flatten().cpu().tensor_split(features["cu_seq_lens_q"][1:-1].cpu().long()))
    else:
        texts = [row[real] for row, real in zip(ids.cpu(), features["attention_mask"].cpu().bool(), strict=True)]
    digests = [hashlib.blake2b(text.long().numpy().tobytes(), digest_size=16).digest() for text in texts]
    return torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.int64).view(-1, 2).to(ids.device)


def same(some: Tensor, others: Tensor) -> Tensor:
    """[R, 2] and [N, 2] fingerprints → [R, N] bool."""
    return (some[:, None] == others[None]).all(dim=-1)
