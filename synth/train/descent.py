"""One step after another down the loss, without waiting for the device: optimiser, guard, moving average, memory.

Nothing here reads a tensor's value while a step runs; what a step was worth is kept on the device and read by
`Descent.read()` when somebody reports. A gradient or loss that is not finite is skipped by the optimiser's own kernel.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from synth.errors import UserError, is_out_of_memory
from synth.train.processes import Processes, join_processes

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
Figures = Mapping[str, float | Tensor]
Task = TypeVar("Task", bound=nn.Module)
_SMOOTHING = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """loss smoothed over about fifty steps; grad_norm of the last; skipped steps in all, and the last ones in a row."""

    loss: float
    grad_norm: float
    skipped_steps: int
    skipped_in_a_row: int
    figures: dict[str, float]


def resolve_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one, of several processes each one's own. UserError for what is not here."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError as fault:
        raise UserError(f"There is no device called '{name}'.", remedy="Use auto, cpu or cuda.") from fault
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device here.", remedy="Train with --device cpu, or auto.")
    return join_processes().device(device)


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """The batch on `device`; does nothing when it is there already."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def batch_size(batch: Batch) -> int:
    """The length of the first tensor: what a batch is split along."""
    return len(next(iter(batch.values())))


def part_of(batch: Batch, part: int, n_parts: int) -> tuple[Batch, float]:
    """(rows of one of `n_parts` parts as equal as they can be, their share of the batch). Other lengths stay whole."""
    size = batch_size(batch)
    first, last = part * size // n_parts, (part + 1) * size // n_parts
    rows = {name: value[first:last] if value.ndim and len(value) == size else value for name, value in batch.items()}
    return rows, (last - first) / size


class Descent(Generic[Task]):
    """A task on its device, its optimiser and its moving average.

    A task may say more about itself:
    parameters_for_optimizer()  groups for AdamW ("params", "lr", "betas", "weight_decay"; "apart": True for a group
                                whose gradient is clipped on its own, as a discriminator's); default: all its parameters
    not_averaged                names of sub-modules that stay out of the moving average
    Figures may be tensors on the device: they are read only when a report is due.
    """

    def __init__(
        self,
        task: Task,
        device: torch.device,
        settings: Mapping[str, Any],
        grad_clip: float,
        processes: Processes | None = None,
    ) -> None:
        self.task = task
        self.processes = Processes() if processes is None else processes
        self.device = device
        self.n_parts = 1
        self.grad_clip = grad_clip
        try:
            task.to(device)
            self.average = copy.deepcopy(task).eval().requires_grad_(False)
        except RuntimeError as fault:
            if device.type == "cpu" or not is_out_of_memory(fault):
                raise
            self._go_to_cpu()
            self.average = copy.deepcopy(task).eval().requires_grad_(False)
        groups = _parameter_groups(task, settings)
        self.optimizer = torch.optim.AdamW(groups, **settings, fused=True)
        self._clipped = _clip_together(self.optimizer.param_groups)
        self._rate_scales = [group["lr"] / settings["lr"] for group in self.optimizer.param_groups]
        self._averaged_pairs = _pairs(self.average, task)
        self._start_tally(float("nan"))

    def _start_tally(self, loss: float, skipped: int = 0) -> None:
        self._loss = torch.tensor(loss, device=self.device)
        self._norm = torch.zeros((), device=self.device)
        self._skipped = torch.tensor(float(skipped), device=self.device)
        self._streak = torch.zeros((), device=self.device)
        self._figures: dict[str, float | Tensor] = {}

    def resume(self, loss: float, skipped: int, n_parts: int) -> None:
        """Take up the figures of an earlier run."""
        self.n_parts = max(1, n_parts)
        self._start_tally(loss, skipped)

    def set_rate(self, rate: float) -> None:
        """The learning rate of this step; groups with a rate of their own follow in proportion."""
        for group, scale in zip(self.optimizer.param_groups, self._rate_scales, strict=True):
            group["lr"] = rate * scale

    def gradients(self, batch: Batch, seed: int) -> tuple[Tensor, Figures]:
        """Fill the gradients of a whole batch; falls back when memory runs out. -> (loss, this process's figures)."""
        rows, weight = self.processes.share(batch)
        while True:
            loss, figures = self._try(rows, self.processes.seed(seed), weight)
            if not self.processes.alone:
                loss = self.processes.combine(list(self.task.parameters()), loss, weight)
            if loss is not None:
                return loss, figures
            self._fall_back(batch_size(rows))

    def _try(self, batch: Batch, seed: int, weight: float) -> tuple[Tensor | None, Figures]:
        """None for the loss when memory ran out. Once this returns, no frame holds the tensors that filled it."""
        try:
            return self._accumulate(move_batch(batch, self.device), seed, weight)
        except RuntimeError as fault:  # torch.OutOfMemoryError is one
            if not is_out_of_memory(fault):
                raise
            return None, {}

    def _accumulate(self, batch: Batch, seed: int, weight: float) -> tuple[Tensor, Figures]:
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(seed)
        total = torch.zeros((), device=self.device)
        sums: dict[str, float | Tensor] = {}
        n_parts = min(self.n_parts, batch_size(batch))
        for part in range(n_parts):
            rows, share = (batch, 1.0) if n_parts == 1 else part_of(batch, part, n_parts)
            loss, figures = self.task(rows)
            (loss * (share * weight)).backward()
            total = total + share * loss.detach()
            for name, value in figures.items():
                value = value.detach() if isinstance(value, Tensor) else value
                sums[name] = sums.get(name, 0.0) + share * value
        return total, sums

    def _fall_back(self, n_rows: int) -> None:
        """Half the rows at a time; on the CPU when a single row does not fit."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.n_parts < n_rows:
            self.n_parts = min(2 * self.n_parts, n_rows)
            log.warning(
                "the memory of %s is full: going on with %d parts a batch, one after another, which learn the same",
                self.device, self.n_parts,
            )  # fmt: skip
        elif self.device.type != "cpu" and self.processes.alone:
            log.warning("the memory of %s is full even with one excerpt at a time: going on on the CPU", self.device)
            self._go_to_cpu()
        else:
            raise UserError(
                "There is not enough memory for a batch of one excerpt.", remedy="Close other programs, or add memory."
            )

    def _go_to_cpu(self) -> None:
        self.device = torch.device("cpu")
        self.task.to(self.device)
        self.n_parts = 1
        if hasattr(self, "optimizer"):
            read = self.read()
            self.average.to(self.device)
            self.optimizer.load_state_dict(self.optimizer.state_dict())  # casts the moments to the parameters' device
            self._start_tally(read.loss, read.skipped_steps)

    def step(self, loss: Tensor, figures: Figures, decay: float) -> None:
        """Clip, step and average; a loss or gradient that is not finite changes nothing but the count of skipped."""
        norms = [nn.utils.clip_grad_norm_(parameters, self.grad_clip) for parameters in self._clipped]
        bad = ~torch.isfinite(torch.stack([loss.detach().float(), *norms]).sum())
        # Read by the fused kernel itself, as torch.amp.GradScaler sets them; so no step waits for the device.
        vars(self.optimizer).update(found_inf=bad.float(), grad_scale=None)
        self.optimizer.step()
        self.update_average(decay)
        value = loss.detach().float()
        smoothed = torch.where(self._loss.isnan(), value, torch.lerp(self._loss, value, _SMOOTHING))
        self._loss = torch.where(bad, self._loss, smoothed)
        self._norm, self._figures = norms[0], dict(figures)
        self._skipped = self._skipped + bad
        self._streak = (self._streak + 1.0) * bad

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * task."""
        averaged, current = self._averaged_pairs
        if averaged:
            get_ema_multi_avg_fn(decay)(averaged, current, None)

    @torch.no_grad()
    def complete_average(self) -> Task:
        """The moving average, with the buffers and the sub-modules that are not averaged as they are now."""
        averaged = {id(parameter) for parameter in self._averaged_pairs[0]}
        for mine, current in _aligned(self.average, self.task):
            if id(mine) not in averaged:
                mine.copy_(current)
        return self.average

    def read(self) -> Reading:
        """What the last steps were worth. Waits for the device."""
        numbers = {name: value for name, value in self._figures.items() if isinstance(value, Tensor)}
        tensors = [self._loss, self._norm, self._skipped, self._streak, *numbers.values()]
        values = torch.stack([value.detach().float().to(self.device) for value in tensors]).tolist()
        figures = {name: float(value) for name, value in self._figures.items() if not isinstance(value, Tensor)}
        figures |= dict(zip(numbers, values[4:], strict=True))
        return Reading(values[0], values[1], round(values[2]), round(values[3]), figures)

    def is_finite(self) -> bool:
        """Whether every weight is a number. Waits for the device."""
        norms = [parameter.detach().float().abs().max() for parameter in self.task.parameters() if parameter.numel()]
        return bool(torch.isfinite(torch.stack(norms)).all()) if norms else True


def _parameter_groups(task: nn.Module, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups: Callable[[], Iterable[dict[str, Any]]] | None = getattr(task, "parameters_for_optimizer", None)
    if groups is None:
        return [{"params": [value for value in task.parameters() if value.requires_grad], "apart": False}]
    return [{"lr": settings["lr"], "apart": False} | group for group in groups()]


def _clip_together(groups: Iterable[dict[str, Any]]) -> list[list[nn.Parameter]]:
    """Lists of parameters of which each has one norm: first all that are not set apart."""
    together: list[nn.Parameter] = []
    alone: list[list[nn.Parameter]] = []
    for group in groups:
        if group["apart"]:
            alone.append(group["params"])
        else:
            together.extend(group["params"])
    return [parameters for parameters in (together, *alone) if parameters]


def _aligned(average: nn.Module, task: nn.Module) -> list[tuple[Tensor, Tensor]]:
    mine, current = [*average.parameters(), *average.buffers()], [*task.parameters(), *task.buffers()]
    return list(zip(mine, current, strict=True))


def _pairs(average: nn.Module, task: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """(averaged parameters, the task's own), without the sub-modules that stay out."""
    left_out = tuple(f"{name}." for name in getattr(task, "not_averaged", ()))
    averaged, current = [], []
    own = dict(task.named_parameters())
    for name, parameter in average.named_parameters():
        if not name.startswith(left_out) and own[name].requires_grad:
            averaged.append(parameter)
            current.append(own[name])
    return averaged, current
