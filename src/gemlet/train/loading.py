"""A checkpoint folder → a model that learns.   (folder, settings → Student)"""

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from gemlet.checkpoint import is_gguf, read_checkpoint
from gemlet.errors import InputError
from gemlet.train.settings import Settings

WINDOW = 257
"""The sliding window as transformers has it in a loaded model: |i - j| < 257. It makes that of the 512 in config.json,
and would make 129 of the 257 that it once wrote there itself; so it is told."""

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "linear")
"""What LoRA stands beside: every matrix of the layers, and the two of the dense head."""

_FULLER = 0.8  # texts shorter than this share of the longest go into a pass of their own
_PASS_TOKENS = {"cpu": 256, "cuda": 16_384}  # ... once there are so many: below, a pass costs as much whatever its size


class Student(SentenceTransformer):
    """A SentenceTransformer that computes no padding: texts of like length go through the model together."""

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The same vectors as without it, up to rounding; only `sentence_embedding` [B, d] comes out."""
        mask = input["attention_mask"]
        lengths = mask.sum(dim=1)
        pieces = cut(lengths.tolist(), _PASS_TOKENS[mask.device.type])
        if len(pieces) == 1 and int(lengths.max()) == mask.shape[1]:
            whole: dict[str, Any] = super().forward(input, **kwargs)
            return whole
        order = torch.argsort(lengths, descending=True, stable=True)
        parts = []
        for begin, end in pieces:
            rows = order[begin:end]
            width = int(lengths[rows[0]])
            piece = {
                key: value[rows, :width] if isinstance(value, Tensor) and value.shape[:2] == mask.shape else value
                for key, value in input.items()
            }
            parts.append(super().forward(piece, **kwargs)["sentence_embedding"])
        return {"sentence_embedding": torch.cat(parts)[torch.argsort(order)]}


def cut(lengths: list[int], tokens: int) -> list[tuple[int, int]]:
    """Texts' lengths → [begin, end) of each pass, in the order of length, the longest first.

    tokens  of a pass, at least, before shorter texts get another
    """
    lengths = sorted(lengths, reverse=True)
    begins = [0]
    for i, length in enumerate(lengths):
        longest = lengths[begins[-1]]
        if length < _FULLER * longest and (i - begins[-1]) * longest >= tokens:
            begins.append(i)
    return list(zip(begins, [*begins[1:], len(lengths)], strict=True))


def load_student(folder: Path, settings: Settings) -> Student:
    """The model in float32 on this process's device, with what `settings` lets learn ready for it.

    Raises InputError for a .gguf file, WeightsError and UnsupportedModel for what is no EmbeddingGemma.
    """
    if is_gguf(folder):
        raise InputError(f"{folder} is packed, and training needs the checkpoint's folder: name that with --model")
    read_checkpoint(folder)
    torch.manual_seed(settings.seed)
    student = Student(
        str(folder),
        device=_device(),
        local_files_only=True,
        model_kwargs={"dtype": torch.float32, "attn_implementation": "sdpa"},
        config_kwargs={"sliding_window": WINDOW},
    )
    student.tokenizer.padding_side = "right"  # of a folder without tokenizer_config.json it would be left
    student.max_seq_length = min(settings.max_length, read_checkpoint(folder).max_seq_length)
    if settings.method == "lora":
        _add_lora(student, settings)
    else:
        table(student).weight.requires_grad_(settings.train_table)
    return student


def table(student: SentenceTransformer) -> Any:
    """The module of the token embeddings."""
    return student[0].model.get_input_embeddings()


def merge_lora(student: SentenceTransformer) -> None:
    """Add each pair of thin matrices to its matrix: the result is an ordinary checkpoint."""
    from peft.tuners.lora import LoraLayer

    for parent in list(student.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, LoraLayer):
                module.merge()
                setattr(parent, name, module.get_base_layer())


def _add_lora(student: Student, settings: Settings) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules=list(MATRICES), bias="none")
    for parameter in student.parameters():
        parameter.requires_grad_(False)
    inject_adapter_in_model(config, student)


def _device() -> str:
    import os

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
