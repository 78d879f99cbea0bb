"""The loop resumes exactly, ends in time and survives a bad gradient."""

from __future__ import annotations

import json
import logging
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synth.errors import UserError
from synth.train.checkpoint import load_average
from synth.train.interruption import stop_signals
from synth.train.loop import Batch, LoopConfig, train
from synth.train.processes import Processes
from synth.train.run_log import read_log


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


def test_a_box_of_processor_time_does_not_count_waiting(tmp_path: Path) -> None:
    class Waiting(Line):
        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            time.sleep(0.05)
            return super().forward(batch)

    loop = replace(config(20), minutes=0.5 / 60, clock="processor")
    _, report = train(Waiting(), make_batch, loop, tmp_path / "processor")
    assert report.steps == 20
    assert report.seconds < 0.5
    _, report = train(Waiting(), make_batch, replace(loop, clock="wall"), tmp_path / "wall")
    assert report.steps < 20


def test_a_poisoned_step_is_not_taken(tmp_path: Path) -> None:
    averaged, report = train(new_task(poison_at=3), make_batch, config(20), tmp_path)
    assert report.steps == 20
    assert torch.isfinite(averaged.layer.weight).all()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors"):
        train(new_task(), make_batch, config(5), tmp_path)


def test_training_that_diverges_ends_with_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Diverges(Line):
        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            loss, figures = super().forward(batch)
            return loss * (float("inf") if self.calls > 8 else 1.0), figures

    torch.manual_seed(0)
    train(Diverges(), make_batch, config(8), tmp_path)
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    task = Diverges()
    task.calls = 8
    with pytest.raises(UserError, match="6 steps in a row had no finite gradient"):
        train(task, make_batch, replace(config(100), skips_before_abort=6, report_every_steps=1), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good


def test_weights_that_are_no_numbers_are_neither_kept_nor_taken(tmp_path: Path) -> None:
    train(new_task(), make_batch, config(5), tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    good = path.read_bytes()
    broken = new_task()
    with torch.no_grad():
        broken.layer.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        train(broken, make_batch, replace(config(10), skips_before_abort=1000), tmp_path / "other")
    assert not (tmp_path / "other" / "checkpoint.safetensors").exists()

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        metadata = file.metadata()
    tensors["model.layer.bias"][:] = float("nan")
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(UserError, match=r"model\.layer\.bias|layer\.bias"):
        train(new_task(), make_batch, config(10), tmp_path)
    path.write_bytes(good)
    assert train(new_task(), make_batch, config(10), tmp_path)[1].steps == 10


def test_the_folder_of_another_model_is_left_alone(tmp_path: Path) -> None:
    class Parabola(Line):
        pass

    train(new_task(), make_batch, config(5), tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match="another model"):
        train(Parabola(), make_batch, config(10), tmp_path)
    wider = new_task()
    wider.layer = nn.Linear(3, 1)
    with pytest.raises(UserError, match="another shape"):
        train(wider, make_batch, config(10), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.expects_log(r"the memory of cpu is full: going on with \d+ parts a batch")
def test_a_full_memory_makes_batches_go_in_parts_that_learn_the_same(tmp_path: Path) -> None:
    class Hungry(Line):
        room = 16

        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            if len(batch["x"]) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory, says the test")
            return super().forward(batch)

    torch.manual_seed(0)
    small = Hungry()
    small.room = 5
    _, report = train(small, make_batch, config(20), tmp_path / "small")
    torch.manual_seed(0)
    roomy = Hungry()
    train(roomy, make_batch, config(20), tmp_path / "roomy")
    assert report.micro_batches == 4
    assert torch.allclose(small.layer.weight, roomy.layer.weight, atol=1e-5)
    torch.manual_seed(0)
    hopeless = Hungry()
    hopeless.room = 0
    with pytest.raises(UserError, match="one excerpt"):
        train(hopeless, make_batch, config(20), tmp_path / "hopeless")


def test_the_best_by_validation_is_kept_beside_the_last(tmp_path: Path) -> None:
    class Validated(Line):
        def validate(self) -> dict[str, Tensor]:
            """Best where the bias is nearest to 0.2, which training passes on its way to 0.5."""
            assert not self.training
            return {"validation": (self.layer.bias - 0.2).abs().sum()}

    torch.manual_seed(0)
    task = Validated()
    with torch.no_grad():
        task.layer.bias.fill_(-0.3)
    _, report = train(task, make_batch, replace(config(200), report_every_steps=1), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    best = min(rows, key=lambda row: row["validation"])
    assert 1 < best["step"] == report.best_step < 200
    assert report.best_validation == pytest.approx(best["validation"], abs=1e-4)
    kept = Validated().eval()
    load_average(tmp_path / "best.safetensors", kept)
    assert kept.validate()["validation"].item() == pytest.approx(report.best_validation, abs=1e-6)


def test_a_task_chooses_its_groups_and_what_is_not_averaged(tmp_path: Path) -> None:
    class Pair(nn.Module):
        not_averaged = ("judge",)

        def __init__(self) -> None:
            super().__init__()
            self.maker, self.judge = nn.Linear(2, 1), nn.Linear(2, 1)

        def parameters_for_optimizer(self) -> list[dict[str, object]]:
            return [
                {"params": list(self.maker.parameters())},
                {"params": list(self.judge.parameters()), "lr": 0.0005, "weight_decay": 0.0, "apart": True},
            ]

        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
            maker, judge = (layer(batch["x"]).square().mean() for layer in (self.maker, self.judge))
            return maker + 1e6 * judge, {"judge": judge}

    torch.manual_seed(0)
    task = Pair()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    averaged, _ = train(task, make_batch, replace(config(10), weight_decay=0.0), tmp_path)
    moved = {name: float((value - before[name]).abs().max()) for name, value in task.state_dict().items()}
    # Adam moves by the rate; were the gradients clipped together, the judge's would still not slow the maker down, but
    # its own rate does slow the judge.
    assert moved["maker.weight"] > 30 * moved["judge.weight"] > 0.0
    assert torch.equal(averaged.judge.weight, task.judge.weight)
    assert not torch.equal(averaged.maker.weight, task.maker.weight)


def test_log_rows_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    """A killed run leaves rows that its successor writes again, and half a line."""
    train(new_task(), make_batch, config(10), tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 15, "loss": 1.0}\n{"step": 20, "lo')
    train(new_task(), make_batch, config(20), tmp_path)
    assert [row["step"] for row in read_log(tmp_path)] == [5, 10, 15, 20]


def test_a_signal_ends_it_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    class Interrupted(Line):
        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            if self.calls == 4:
                signal.raise_signal(signal.SIGTERM)
            return super().forward(batch)

    before = signal.getsignal(signal.SIGTERM)
    torch.manual_seed(0)
    _, report = train(Interrupted(), make_batch, config(100), tmp_path)
    assert (report.steps, report.stopped) == (5, True)
    assert signal.getsignal(signal.SIGTERM) is before
    torch.manual_seed(0)
    assert train(Interrupted(), make_batch, config(7), tmp_path)[1].steps == 7


def test_a_signal_that_cuts_into_a_line_of_ours_breaks_nothing() -> None:
    class InTheMiddle(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    handler, logger = InTheMiddle(logging.INFO), logging.getLogger("synth.train.interruption")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with stop_signals() as signalled:
            signal.raise_signal(signal.SIGINT)
            assert signalled()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize(("done", "stopped"), [(1.0, False), (0.4, True)])
def test_all_processes_agree_on_why_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: float, stopped: bool
) -> None:
    """The first process's clock counts, not one's own: else one would begin a further stage and wait for the others."""

    class ToldToStop(Processes):
        def propose(self, **_own: object) -> None:
            self.stop, self.done = True, done

    monkeypatch.setattr("synth.train.loop.join_processes", ToldToStop)
    assert train(new_task(), make_batch, config(10), tmp_path)[1].stopped is stopped


@pytest.mark.gpu
@pytest.mark.expects_log("the memory of cuda is full")
def test_a_gpu_without_room_hands_over_to_the_cpu(tmp_path: Path) -> None:
    class NotOnGpu(Line):
        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            if batch["x"].is_cuda:
                raise torch.OutOfMemoryError("CUDA out of memory, says the test")
            return super().forward(batch)

    torch.manual_seed(0)
    _, report = train(NotOnGpu(), make_batch, replace(config(20), device="cuda"), tmp_path)
    assert (report.steps, report.device) == (20, "cpu")


@pytest.mark.gpu
def test_the_gpu_learns_what_the_cpu_learns(tmp_path: Path) -> None:
    weights = []
    for device in ("cpu", "cuda"):
        task = new_task()
        _, report = train(task, make_batch, replace(config(50), device=device), tmp_path / device)
        weights.append(task.layer.weight.detach().cpu())
    assert report.peak_device_memory_mb > 0.0
    assert torch.allclose(*weights, atol=1e-4)
