"""sentence-transformers' trainer, with checkpoints that a kill cannot break.   (batches → learned parameters)"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from torch import nn
from transformers.trainer_callback import ExportableState

from gemlet.errors import TrainingError
from gemlet.train.batches import SET
from gemlet.train.checkpoints import publish, seal, temporary, writing
from gemlet.train.head import Fitted

LEARNED = "learned.safetensors"


class Trainer(SentenceTransformerTrainer):
    """Takes its batches in the order of a plan, each with the loss of its set.

    A checkpoint holds the parameters that learn and no others: the rest is in the folder that the run began with.
    """

    def __init__(self, *, losses: list[nn.Module], loader: Any, **options: Any) -> None:
        super().__init__(loss=losses[0], **options)
        self._losses = [self.prepare_loss(loss, self.model) for loss in losses]
        self._loader = loader
        self.kept = 0  # the step of the last checkpoint
        self.fitted: Fitted | None = None  # the head, before anything learned

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave the card to card.py."""

    def get_train_dataloader(self) -> Any:
        """The plan's batches: each process knows its share."""
        return self._loader

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """The loss of the set that the batch is of."""
        self.loss = self._losses[inputs.pop(SET)]
        return super().compute_loss(model, inputs, *args, **options)

    def training_step(self, *args: Any, **options: Any) -> torch.Tensor:
        """One batch forward and back. Raises TrainingError for a loss that is no number."""
        loss = super().training_step(*args, **options)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}: a lower --lr, more --warmup or "
                f"--precision float32 helps; {self.going_on()}"
            )
        return loss

    def going_on(self) -> str:
        """What of the run stays, for messages."""
        if not self.kept:
            return "no checkpoint had been written yet"
        return f"what was learned up to step {self.kept} is kept, and the same command goes on from there"

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write, seal, rename. Raises TrainingError where that cannot be."""
        step = self.state.global_step
        folder = Path(self.args.output_dir)
        path = folder / f".checkpoint-{step}"
        if self.args.should_save:
            path = temporary(folder, step)
        self.accelerator.wait_for_everyone()
        with writing(f"the checkpoint of step {step}", folder, self.going_on(), path):
            if self.args.should_save:
                self._save_learned(path)
            self._save_optimizer_and_scheduler(str(path))
            self._save_rng_state(str(path))
            if self.args.should_save:
                self._save_state(path)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            with writing(f"the checkpoint of step {step}", folder, self.going_on(), path):
                seal(path)
                best = {self.state.best_global_step} if self.state.best_global_step else set()
                publish(path, step, best)
        self.accelerator.wait_for_everyone()
        self.kept = step

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Whether to save after a look: when it is the best, and when watch.py has asked, which the base forgets."""
        asked = self.control.should_save
        return bool(super()._determine_best_metric(metrics, trial)) or asked

    def _save_learned(self, path: Path) -> None:
        learned = {name: value.detach().contiguous() for name, value in self._learning()}
        save_file(learned, path / LEARNED)

    def _save_state(self, path: Path) -> None:
        if self.state.best_global_step:
            self.state.best_model_checkpoint = str(path.with_name(f"checkpoint-{self.state.best_global_step}"))
        for part in [*self.callback_handler.callbacks, self.control]:
            if isinstance(part, ExportableState):
                self.state.stateful_callbacks[type(part).__name__] = part.state()
        self.state.save_to_json(str(path / "trainer_state.json"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        values = load_file(Path(resume_from_checkpoint) / LEARNED, device=str(self.model.device))
        with torch.no_grad():
            for name, parameter in self._learning():
                parameter.copy_(values[name])

    def _learning(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]
