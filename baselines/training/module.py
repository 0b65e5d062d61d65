"""The base of the tasks' Lightning modules: optimiser, schedule, averaged weights, exact replay."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import override

from baselines.core.config import Config, OptimizerConfig
from baselines.training.data import BaselineDataModule


class BaselineModule(LightningModule):
    """A network with its loss, its decoding to predictions, and the recipe that trains it.

    A subclass provides :meth:`losses`, :meth:`decode` and the three parts of the validation metric, and calls the network as
    ``self(images)``: that is the trained network in training, and its moving average (where there is one) in evaluation.

    Args:
        config: The run's configuration.
        network: The network to train.

    Attributes:
        network: The trained network; its ``state_dict`` names are those of ``model.safetensors``.
        averaged: Its moving average, or ``None``.
        class_dependent: Prefixes of the network's parameters whose shape depends on the number of classes; ``init_from`` leaves
            them as they are where the shapes differ.
        fitted: Prefixes of the network's buffers that :meth:`calibrate` fills; they take the shape that a file has.
        parts: The latest step's losses by name, detached.
        validation: The latest validation's numbers, the monitored one first.
    """

    class_dependent: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()

    def __init__(self, config: Config, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        if config.trainer.channels_last:
            volumes = any(parameter.ndim == 5 for parameter in network.parameters())
            network = network.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)
        self.network = network
        self.averaged = (
            copy.deepcopy(network).requires_grad_(requires_grad=False).eval() if config.optimizer.ema_decay else None
        )
        if config.trainer.compile:
            network.compile()
        self.parts: dict[str, Tensor] = {}
        self.validation: dict[str, float] = {}

    # ---- what a task provides

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the parts of the loss by name, each a scalar; their sum is minimised."""
        raise NotImplementedError

    def decode(self, batch: Any) -> list[Any]:
        """Return one ``Prediction`` per sample of the batch, with NumPy arrays."""
        raise NotImplementedError

    def reset_validation(self) -> None:
        """Forget what earlier validations accumulated."""
        raise NotImplementedError

    def update_validation(self, batch: Any, predictions: Sequence[Any]) -> None:
        """Account for a batch's predictions; what is kept must not grow with the number of samples."""
        raise NotImplementedError

    def validate_batch(self, batch: Any) -> None:
        """Account for a batch of the validation set; the base decodes it and calls :meth:`update_validation`."""
        self.update_validation(batch, self.decode(batch))

    def compute_validation(self) -> dict[str, float]:
        """Return the metric's numbers by name; the first is monitored, higher is better.

        Runs on every process: sums have to be made over all of them, with :meth:`sum_over_processes`.
        """
        raise NotImplementedError

    def calibrate(self, data: BaselineDataModule) -> None:
        """Fit what is not trained by gradients: thresholds, an index of training samples, statistics.

        Called once after training, on the first process, seeded, without gradients, with the best weights in place and in
        evaluation mode. What is found has to be in buffers of the network, under the prefixes of :attr:`fitted`. The held-out
        samples are reported on: whoever tunes, tunes on training samples set aside. The base fits nothing.

        Args:
            data: The data module; ``data.loader(dataset)`` gives whole data sets, ``self.to_device(batch)`` moves a batch.
        """

    def fit_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Prepare the network for the weights of a file, which are loaded next.

        The base gives the buffers under :attr:`fitted` the shapes they have there. A module whose architecture was decided by
        the training data or by a published model builds it here, from what such buffers say.

        Args:
            weights: The tensors of the file by the network's names; nothing about them has been checked.
        """
        for name, buffer in list(self.network.named_buffers()):
            if name in weights and name.startswith(self.fitted) and buffer.shape != weights[name].shape:
                parent, _, leaf = name.rpartition(".")
                setattr(self.network.get_submodule(parent), leaf, buffer.new_empty(weights[name].shape))

    def to_device(self, batch: Any) -> Any:
        """Return a batch with its tensors where the network is."""
        return self.transfer_batch_to_device(batch, self.device, 0)

    # ---- what the base does with it

    @property
    def active(self) -> nn.Module:
        """The network in use: the trained one in training, its average in evaluation."""
        return self.network if self.training or self.averaged is None else self.averaged

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network in use."""
        return self.active(*args, **kwargs)

    def train(self, mode: bool = True) -> BaselineModule:
        """Switch between training and evaluation; the average always stays in evaluation."""
        super().train(mode)
        if self.averaged is not None:
            self.averaged.eval()
        return self

    def sum_over_processes(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        total = self.trainer.strategy.reduce(values.to(self.device), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    @override
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed PyTorch from (seed, batch, process), so that dropout and the like replay after a resume."""
        torch.manual_seed(mix_seed(self.config.seed, batch_idx, self.global_rank))

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        losses = self.losses(batch)
        self.parts = {name: part.detach() for name, part in losses.items()}
        return torch.stack(list(losses.values())).sum()

    @override
    def configure_gradient_clipping(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        """Clip the norm of the gradient without waiting for the device."""
        if self.config.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip_norm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then let the average follow."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            assert self.config.optimizer.ema_decay
            # Here `global_step` doesn't count this step yet: the average starts as a copy of the first step's weights.
            update_average(self.averaged, self.network, self.config.optimizer.ema_decay, self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Start the validation metric afresh."""
        self.reset_validation()

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Account for a batch, unless it is there for this process to have as many as the others (``ValidationBatches``)."""
        assert self.trainer.val_dataloaders is not None
        if batch_idx < self.trainer.val_dataloaders.batch_sampler.counted:
            self.validate_batch(batch)

    def on_validation_epoch_end(self) -> None:
        """Compute the validation metric."""
        self.validation = {name: float(value) for name, value in self.compute_validation().items()}

    @override
    def predict_step(self, batch: Any, batch_idx: int) -> list[Any]:
        """Return the predictions of a batch."""
        return self.decode(batch)

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the schedule that moves its learning rate at every step."""
        config, steps = self.config.optimizer, self.config.trainer.max_steps
        optimizer = make_optimizer(config, self.network, fused=next(self.network.parameters()).is_cuda)
        schedule = LambdaLR(optimizer, lambda step: lr_factor(step, steps, config.warmup_steps, config.final_lr_ratio))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_optimizer(config: OptimizerConfig, network: nn.Module, fused: bool) -> Optimizer:
    """Return the optimiser of a network's trainable parameters; those of fewer than two dimensions are not decayed."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused)
    return torch.optim.AdamW(groups, lr=config.lr, fused=fused)


def lr_factor(step: int, steps: int, warmup: int, final: float) -> float:
    """Return the learning rate of a step as a share of the highest: linear warm-up, then half a cosine.

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983), without restarts.

    >>> [round(lr_factor(step, steps=10, warmup=2, final=0.1), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.55, 0.1]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float, updates: int) -> None:
    """Move the averaged weights and buffers a step towards the network's.

    The decay starts low and rises, ``min(decay, (1 + t) / (10 + t))`` (as in TensorFlow's ExponentialMovingAverage), so
    that a short training isn't an average of its random start.

    Args:
        averaged: The average.
        network: The network.
        decay: Largest decay.
        updates: How many updates there were before.
    """
    if updates == 0:
        averaged.load_state_dict(network.state_dict())
        return
    move = get_ema_multi_avg_fn(min(decay, (1 + updates) / (10 + updates)))
    pairs = list(zip(_tensors(averaged), _tensors(network), strict=True))
    move([a for a, _ in pairs if a.is_floating_point()], [c for a, c in pairs if a.is_floating_point()], None)
    for average, current in pairs:
        if not average.is_floating_point():  # counters, such as the batches a norm has seen
            average.copy_(current)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def mix_seed(seed: int, step: int, process: int) -> int:
    """Return a 64-bit seed that differs for every (seed, step, process).

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014), since neighbouring seeds give some generators related streams.
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + process * 0x8CB92BA72F3D8DD7) % 2**64
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
    return mixed ^ (mixed >> 31)
