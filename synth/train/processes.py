"""Training on several GPUs or processes: each takes its share of one batch, and all take the same step.

Started by `accelerate launch`, by torchrun, or by our own --processes N; alone otherwise, and then accelerate is not
even imported. Every process draws the same batch and works on its own rows of it, so the order of the data is that of
one process. Gradients travel once a step in one piece, with what the processes must agree on: whether one of them ran
out of memory, how much of the time box the first one has spent, and whether it wants to stop.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from synth.errors import UserError

_RANK_SEEDS = 1 << 40  # apart from every (seed, step)


class Processes:
    """This process among those of a training; `rank` 0 writes and reports."""

    def __init__(self, rank: int = 0, count: int = 1, accelerator: Any = None) -> None:
        self.rank, self.count = rank, count
        self._accelerator = accelerator
        self.begin(0.0)

    @property
    def is_first(self) -> bool:
        """The one that writes files and reports."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.count == 1

    def device(self, wanted: torch.device) -> torch.device:
        """A GPU for each process of a machine; the CPU for all."""
        if self.alone or wanted.type != "cuda":
            return wanted
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

    def seed(self, seed: int) -> int:
        """Random numbers of a step that differ between the processes; the first one's are those of one alone."""
        return seed + self.rank * _RANK_SEEDS

    def begin(self, done: float) -> None:
        """Before the first step; `done` is the share of the time box that earlier runs have spent."""
        self.stop, self.done = False, done
        self._proposal = (0.0, done)

    def propose(self, *, stop: bool, done: float) -> None:
        """What this process thinks; `stop` and `done` are what the first one thought when gradients were combined."""
        self._proposal = (float(stop), done)
        if self.alone:
            self.stop, self.done = stop, done

    def share(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """(this process's rows of the batch, the weight of their mean loss in the mean over processes)."""
        if self.alone:
            return batch, 1.0
        size = len(next(iter(batch.values())))
        if size < self.count:
            raise UserError(
                f"A batch of {size} cannot be shared by {self.count} processes.", remedy="Start fewer processes."
            )
        first, last = self.rank * size // self.count, (self.rank + 1) * size // self.count
        rows = {n: value[first:last] if value.ndim and len(value) == size else value for n, value in batch.items()}
        return rows, (last - first) * self.count / size

    def combine(self, parameters: Sequence[nn.Parameter], loss: Tensor | None, weight: float) -> Tensor | None:
        """Average gradients and loss over the processes; None when one of them had no memory. In place.

        loss   this process's mean loss, not weighted; None: no memory here
        """
        present = [parameter for parameter in parameters if parameter.requires_grad]
        device = present[0].device
        stop, done = self._proposal if self.is_first else (0.0, 0.0)
        value = 0.0 if loss is None else loss.detach() * weight
        extras = torch.stack(
            [torch.as_tensor(v, dtype=torch.float32, device=device) for v in (float(loss is None), stop, done, value)]
        )
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in present]
        joined = torch.cat([extras, *(gradient.flatten().float() for gradient in gradients)])
        joined = self._accelerator.reduce(joined, reduction="mean")
        full, stop, done, _ = joined[:4].tolist()
        self.stop, self.done = stop > 0.0, done * self.count
        if full > 0.0:
            return None
        at = 4
        for parameter in present:
            if parameter.grad is not None:
                parameter.grad.copy_(joined[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()
        return joined[3]

    def start_alike(self, modules: Iterable[nn.Module]) -> None:
        """Every process gets the first one's weights."""
        if self.alone:
            return
        from accelerate.utils import broadcast  # with the accelerator, not before

        with torch.no_grad():
            for module in modules:
                for value in (*module.parameters(), *module.buffers()):
                    value.copy_(broadcast(value.detach().clone()))

    def wait(self) -> None:
        """Until all are here."""
        if not self.alone:
            self._accelerator.wait_for_everyone()


@cache
def join_processes() -> Processes:
    """This process's place in the training it was started for."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    try:
        from accelerate import Accelerator  # only trainings with several processes need it
    except ImportError as fault:
        raise UserError(
            f"Several processes train through accelerate, which is not installed ({fault}).",
            remedy="Install the training extra: .[training].",
        ) from fault
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    atexit.register(torch.distributed.destroy_process_group)
    return Processes(accelerator.process_index, accelerator.num_processes, accelerator)


def launch_command(n_processes: int) -> list[str]:
    """torchrun's launcher on this machine; a script or `-m module` and its arguments follow."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
