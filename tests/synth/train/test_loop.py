"""The loop resumes exactly, ends in time and survives a bad gradient."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synth.errors import UserError
from synth.train.loop import Batch, LoopConfig, train


class Line(nn.Module):
    """Least squares, for which everything can be checked by hand."""

    def __init__(self, poison_at: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.calls, self.poison_at = 0, poison_at

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        self.calls += 1
        loss = (self.layer(batch["x"]) - batch["y"]).square().mean()
        if self.calls == self.poison_at:
            loss = loss * float("nan")
        return loss, {"mse": float(loss.detach())}


def make_batch(rng: np.random.Generator) -> Batch:
    x = rng.standard_normal((16, 2), dtype=np.float32)
    y = (2.0 * x[:, :1] - x[:, 1:] + 0.5).astype(np.float32)
    return {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}


def new_task(**given: int) -> Line:
    torch.manual_seed(0)
    return Line(**given)


def config(max_steps: int) -> LoopConfig:
    return LoopConfig(minutes=5.0, max_steps=max_steps, learning_rate=0.05, warmup_steps=1, report_every_steps=5)


def test_learns_and_logs(tmp_path: Path) -> None:
    averaged, report = train(new_task(), make_batch, config(200), tmp_path)
    assert report.steps == 200
    assert report.peak_memory_mb > 1
    assert torch.allclose(averaged.layer.weight, torch.tensor([[2.0, -1.0]]), atol=0.1)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(5, 201, 5))


def test_data_order_does_not_depend_on_interruptions(tmp_path: Path) -> None:
    """Ten steps, stopped and resumed after four, see the batches and moments that ten in one go see."""
    stops = iter([False] * 4 + [True])
    train(new_task(), make_batch, config(10), tmp_path / "broken", should_stop=lambda: next(stops))
    broken, report = train(new_task(), make_batch, config(10), tmp_path / "broken")
    whole, _ = train(new_task(), make_batch, config(10), tmp_path / "whole")
    assert report.steps == 10
    # The schedule follows the clock too, so equality is close, not bitwise.
    assert torch.allclose(broken.layer.weight, whole.layer.weight, atol=1e-4)


def test_time_box_is_kept(tmp_path: Path) -> None:
    _, report = train(new_task(), make_batch, LoopConfig(minutes=0.02), tmp_path)
    assert 0 < report.seconds < 3.0


def test_a_poisoned_step_is_not_taken(tmp_path: Path) -> None:
    averaged, report = train(new_task(poison_at=3), make_batch, config(20), tmp_path)
    assert report.steps == 20
    assert torch.isfinite(averaged.layer.weight).all()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors"):
        train(new_task(), make_batch, config(5), tmp_path)
