"""A checkpoint and calibration/balance.txt → the factors that make its matrices easier to round.

A channel between two linear steps may be multiplied by any number if the column of the matrix that takes it is divided
by it: the model stays the same. What 8 bits do to a product x W^T does not. The rounding noise of a group of channels
grows with sum(x^2) of the group, and W passes it on with sum(W^2) (and the same the other way round, for the noise in
W). Their product is least, by Cauchy and Schwarz, where both have one profile: where the channel's factor is
(sum(W^2) / mean(x^2))^(1/4).

    the channels' source            the matrices that take them
    input_layernorm                 q_proj, k_proj, v_proj
    v_proj's rows                   o_proj, for each query head that shares them
    pre_feedforward_layernorm       gate_proj, up_proj
    up_proj's rows                  down_proj
    q_norm                          k_norm: scores are products too; the two halves that RoPE mixes share a factor
"""

from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.checkpoint import Checkpoint
from gemlet.packing import fit, pack

Array = npt.NDArray[Any]

STEP = 4
"""Factors are powers of 2^(1/STEP), so that a sum's last digits, which may differ between machines, do not matter."""

LARGEST = 2.0**8


@dataclass(frozen=True)
class Factors:
    """What a tensor is multiplied by: number (i, j) by rows[i] * columns[j]; a norm's weight 1 + w has rows alone."""

    rows: npt.NDArray[np.float32] | None = None
    columns: npt.NDArray[np.float32] | None = None


UNCHANGED = Factors()


def balance(checkpoint: Checkpoint, threads: int) -> dict[str, Factors]:
    """Return the factors of tensors by their names in the checkpoint, "layers.0.self_attn.q_proj.weight".

    checkpoint  a folder's
    threads     for the run over the calibration texts

    Raises WeightsError, UnsupportedModel.
    """
    file = _core.open_safetensors(checkpoint.weights[0][0])
    squares = iter(_input_squares(checkpoint, threads))
    found: dict[str, Factors] = {}
    for index in range(len(checkpoint.config["sliding"])):
        layer = _Layer(file, f"layers.{index}.", checkpoint.config["head_dim"])
        layer.balance(*(np.array(next(squares)) for _ in range(4)))
        found |= layer.factors()
    return found


def _input_squares(checkpoint: Checkpoint, threads: int) -> list[list[float]]:
    """Return for qkv, o, gate_up and down of each layer the mean square of each input."""
    lines = (files("gemlet") / "calibration" / "balance.txt").read_text(encoding="utf-8").splitlines()
    prompts = [checkpoint.prompts.get("query", ""), checkpoint.prompts.get("document", ""), ""]
    texts = [prompt + line.replace(r"\n", "\n") for prompt, line in zip(cycle(prompts), lines, strict=False)]
    tokenizer, limit = checkpoint.tokenizer, checkpoint.max_seq_length
    ids, ends = tokenizer.encode(texts, False)
    sequences = fit(
        np.split(ids, ends[1:-1]),
        lambda row: 0,
        limit=limit,
        truncation="right",
        bos=tokenizer.bos,
        eos=tokenizer.eos,
    )
    (batch,) = pack(sequences.input_ids, int(sequences.tokens.sum()))
    model = _core.Model(checkpoint.config, checkpoint.weights, "bf16", threads)
    return model.mean_squares(batch.input_ids, batch.cu_seqlens)


class _Layer:
    """One layer's tensors, and the factors found for their rows and columns."""

    def __init__(self, file: _core.WeightFile, prefix: str, head_dim: int) -> None:
        self.file, self.prefix, self.head_dim = file, prefix, head_dim
        self.rows: dict[str, Array] = {}
        self.columns: dict[str, Array] = {}

    def factors(self) -> dict[str, Factors]:
        """Return what was found, by the tensors' names."""
        names = self.rows.keys() | self.columns.keys()
        return {f"{self.prefix}{name}.weight": Factors(self.rows.get(name), self.columns.get(name)) for name in names}

    def balance(self, attention: Array, o: Array, mlp: Array, down: Array) -> None:
        """Find the factors from the mean squares of the four inputs."""
        self._between("input_layernorm", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], attention)
        self._between("self_attn.v_proj", ["self_attn.o_proj"], o)
        self._between("pre_feedforward_layernorm", ["mlp.gate_proj", "mlp.up_proj"], mlp)
        self._between("mlp.up_proj", ["mlp.down_proj"], down)
        q, k = (self._halves(f"self_attn.{name}") for name in ("q_norm", "k_norm"))
        factor = np.tile(_factor(q, k), 2)
        self.rows |= {"self_attn.q_norm": factor, "self_attn.k_norm": 1 / factor}

    def _between(self, source: str, takers: list[str], inputs: Array) -> None:
        """Balance the inputs of `takers`, which are the outputs of `source`, several times over if its heads share."""
        weights = sum(np.square(self._read(taker)).sum(axis=0) for taker in takers)
        size = self.file.tensors[self._name(source)][1][0]
        factor = _factor(self._shared(inputs, size), self._shared(weights, size))
        self.rows[source] = factor
        self.columns |= dict.fromkeys(takers, 1 / self._spread(factor, len(inputs)))

    def _shared(self, values: Array, size: int) -> Array:
        """Add up the query heads that share a head of the source."""
        if len(values) == size:
            return values
        sums: Array = values.reshape(size // self.head_dim, -1, self.head_dim).sum(axis=1)
        return sums.ravel()

    def _spread(self, factor: Array, size: int) -> Array:
        """Give each query head the factors of the head that it shares."""
        if len(factor) == size:
            return factor
        heads = factor.reshape(-1, 1, self.head_dim)
        return np.repeat(heads, size // len(factor), axis=1).ravel()

    def _halves(self, norm: str) -> Array:
        """Return the squares of 1 + w, added up for each pair that RoPE rotates."""
        squares: Array = np.square(1 + self._read(norm)).reshape(2, -1).sum(axis=0)
        return squares

    def _name(self, name: str) -> str:
        name = f"{self.prefix}{name}.weight"
        return name if name in self.file.tensors else f"model.{name}"

    def _read(self, name: str) -> Array:
        shape = self.file.tensors[self._name(name)][1]
        data = self.file.read(self._name(name), "F32", 0, shape[0])
        return data.view(np.float32).reshape(shape).astype(np.float64)


def _factor(inputs: Array, weights: Array) -> npt.NDArray[np.float32]:
    """Return (weights / inputs)^(1/4), rounded; 1 where either is nothing or no number."""
    with np.errstate(all="ignore"):
        factor = (weights / inputs) ** 0.25
    good = np.isfinite(factor) & (factor > 0)
    factor[~good] = 1
    factor /= np.exp(np.log(factor).mean())
    steps = np.round(np.log2(factor.clip(1 / LARGEST, LARGEST)) * STEP)
    return np.array([2.0 ** (step / STEP) for step in steps], np.float32)
