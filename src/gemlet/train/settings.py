"""Every choice of a run, checked before anything heavy begins.   (→ Settings)"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from gemlet.errors import InputError
from gemlet.train.losses import LossSettings

Method = Literal["lora", "full"]
Schedule = Literal["linear", "cosine", "constant"]
Qat = Literal["q4_0", "mixed", "q8_0"]
Precision = Literal["auto", "float32", "bfloat16"]

LEARNING_RATES = {"lora": 2e-4, "full": 2e-5}


@dataclass(frozen=True)
class Settings:
    """How to train. The same settings, rows and checkpoint give the same run.

    method         "lora": two thin matrices beside each matrix of the model, merged in the end; "full": all of it
    train_table    with "full": the 201 million numbers of the token embeddings too
    qat            of method "full": what learns are the numbers that a file of this type can hold (quantisation-aware)
    rank           of LoRA's thin matrices; their product counts twice (alpha = 2 · rank)
    epochs, steps  times that every row is seen; or, if `steps` is given, batches in all
    batch          rows that are compared with one another, over all processes
    mini_batch     texts in memory at once (gradient cache: exact, a third slower); None: the whole batch if
                   it fits into some 10 GB, else as many as do; 0: always the whole batch
    learning_rate  at its highest; None: 2e-4 with "lora", 2e-5 with "full"
    warmup         share of the steps in which it rises; `schedule` says how it falls then
    weight_decay, clip   AdamW's, and the longest gradient
    max_length     tokens at which a text is cut, prompt, <bos> and <eos> included
    precision      of the arithmetic; "auto": bfloat16 on a GPU that has it. The weights stay in float32
    seed           of the rows' order and of LoRA's first numbers
    prompts        names of the prompts of anchors and of positives and negatives; None: those of the rows' kind
    weights        shares of the batches, one for each data set; None: by their rows
    eval_every     steps from one look at the held-out rows to the next; None: ten in all
    save_every     steps from one checkpoint to the next; None: every ten minutes, and with each best look
    patience       looks without a better figure after which training stops; 0: never
    loss           the objective; its mini_batch and gather are set by the run

    Raises InputError for a choice that cannot be.
    """

    method: Method = "lora"
    train_table: bool = False
    qat: Qat | None = None
    rank: int = 16
    epochs: int = 1
    steps: int | None = None
    batch: int = 32
    mini_batch: int | None = None
    learning_rate: float | None = None
    warmup: float = 0.1
    schedule: Schedule = "linear"
    weight_decay: float = 0.0
    clip: float = 1.0
    max_length: int = 512
    precision: Precision = "auto"
    seed: int = 0
    prompts: tuple[str, str] | None = None
    weights: tuple[float, ...] | None = None
    eval_every: int | None = None
    save_every: int | None = None
    patience: int = 3
    loss: LossSettings = field(default_factory=LossSettings)

    def __post_init__(self) -> None:
        for name, choices in (("method", Method), ("schedule", Schedule), ("precision", Precision), ("qat", Qat)):
            if getattr(self, name) not in get_args(choices) and (name, self.qat) != ("qat", None):
                raise InputError(f"{name} is {getattr(self, name)!r}; available: {', '.join(get_args(choices))}")
        least = {
            "rank": 1,
            "epochs": 1,
            "steps": 1,
            "batch": 1,
            "mini_batch": 0,
            "eval_every": 1,
            "save_every": 1,
            "patience": 0,
        }
        for name, limit in {**least, "max_length": 8, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < limit):
                raise InputError(f"{name} is {value!r}: it is a whole number, {limit} or more")
        for name in ("learning_rate", "warmup", "weight_decay", "clip"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}: it must be a number, 0 or more")
        if self.rate == 0 or self.warmup > 1 or self.clip == 0:
            raise InputError("learning_rate and clip must be above 0, and warmup is a share of the steps, 0 to 1")
        if (self.method == "lora") + self.train_table + bool(self.qat) > 1:
            raise InputError('train_table and qat are for method="full", and either learns without the other')
        if self.weights is not None and not all(math.isfinite(one) and one > 0 for one in self.weights):
            raise InputError(f"weights are {self.weights}: each must be above 0; leave out what is to have none")

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return LEARNING_RATES[self.method] if self.learning_rate is None else self.learning_rate

    def as_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)
