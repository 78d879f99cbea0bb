"""What each process of test_processes.py runs: a short training, with this process's weights left in its own file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from synth.train.loop import Batch, LoopConfig, train
from synth.train.processes import join_processes

N_STEPS = 12


class TwoLayers(nn.Module):
    """Something with more than one parameter, whose loss is the mean over rows."""

    def __init__(self, smallest_batch_refused: int = 10**6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
        self.unused = nn.Parameter(torch.ones(2))
        self.smallest_batch_refused = smallest_batch_refused

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        if len(batch["x"]) >= self.smallest_batch_refused:
            raise torch.OutOfMemoryError("out of memory, says the test")
        loss = (self.layers(batch["x"]) - batch["y"]).square().mean()
        return loss, {"mse": loss}


def make_batch(rng: np.random.Generator) -> Batch:
    """Nine rows: they cannot be shared evenly."""
    x = rng.standard_normal((9, 3), dtype=np.float32)
    return {"x": torch.from_numpy(x), "y": torch.from_numpy(np.sin(x.sum(1, keepdims=True)))}


def run(folder: Path, smallest_batch_refused: int) -> TwoLayers:
    """Train in `folder`; starts from other weights in every process, to see them made alike."""
    torch.manual_seed(join_processes().rank)
    task = TwoLayers(smallest_batch_refused)
    loop = LoopConfig(minutes=10.0, max_steps=N_STEPS, learning_rate=0.02, warmup_steps=2, report_every_steps=4)
    averaged, _ = train(task, make_batch, loop, folder / "run")
    state = {f"model.{name}": value for name, value in task.state_dict().items()}
    state |= {f"ema.{name}": value for name, value in averaged.state_dict().items()}
    save_file(state, folder / f"rank{join_processes().rank}.safetensors")
    return task


if __name__ == "__main__":
    for folder, smallest_batch_refused in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        run(Path(folder), int(smallest_batch_refused))
