"""The time-boxed, resumable training loop that every model shares."""

from __future__ import annotations

import copy
import json
import logging
import math
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from synth.train.checkpoint import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
Task = TypeVar("Task", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how fast to train.

    minutes        time box of the whole schedule: the learning rate reaches zero there, over all resumed runs together
    max_steps      stop earlier after so many steps (tests, exact comparisons)
    """

    minutes: float
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    ema_decay: float = 0.998
    grad_clip: float = 1.0
    weight_decay: float = 1e-3
    checkpoint_every_s: float = 120.0
    report_every_steps: int = 50
    max_steps: int = 10**9
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What a run did: steps and seconds over all resumed runs, last smoothed loss, peak resident memory."""

    steps: int
    seconds: float
    loss: float
    peak_memory_mb: float


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(
    task: Task,
    make_batch: Callable[[np.random.Generator], Batch],
    config: LoopConfig,
    run_dir: Path,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Task, LoopReport]:
    """Train `task` in place until the time box ends; returns (moving average of the task, report).

    task         a module whose forward takes a batch and gives a scalar loss and figures for the log
    make_batch   rng -> batch, made one step ahead on another thread; the rng is seeded by (seed, step), so the data
                 order does not depend on where a run was interrupted
    run_dir      checkpoint.safetensors and log.jsonl live here; an existing checkpoint is resumed
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = run_dir / "checkpoint.safetensors"
    ema = copy.deepcopy(task).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
    )
    step, spent_s, smoothed = 0, 0.0, math.nan
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, task, ema, optimizer)
        step, spent_s, smoothed = int(progress["step"]), progress["seconds"], progress["loss"]
        log.info("resumed at step %d after %.0f s", step, spent_s)
    started_s = time.monotonic() - spent_s
    saved_s = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as ahead:
        upcoming = ahead.submit(make_batch, _rng(config, step))
        while (spent_s := time.monotonic() - started_s) < config.minutes * 60 and step < config.max_steps:
            if should_stop():
                break
            set_learning_rate(optimizer, config, step, max(spent_s / (config.minutes * 60), step / config.max_steps))
            batch = upcoming.result()
            upcoming = ahead.submit(make_batch, _rng(config, step + 1))
            torch.manual_seed(config.seed * 1_000_003 + step)
            loss, figures = task(batch)
            norm = _descend(task, optimizer, loss, config)
            if math.isfinite(norm):
                update_average(ema, task, min(config.ema_decay, (1 + step) / (10 + step)))
            step += 1
            value = float(loss.detach())
            smoothed = value if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * value
            if step % config.report_every_steps == 0:
                _report(run_dir, step, spent_s, smoothed, norm, figures)
            if time.monotonic() - saved_s > config.checkpoint_every_s:
                save_checkpoint(checkpoint, task, ema, optimizer, _progress(step, spent_s, smoothed))
                saved_s = time.monotonic()
    save_checkpoint(checkpoint, task, ema, optimizer, _progress(step, spent_s, smoothed))
    return ema, LoopReport(step, spent_s, smoothed, peak_memory_mb())


def _rng(config: LoopConfig, step: int) -> np.random.Generator:
    return np.random.default_rng((config.seed, step))


def _progress(step: int, spent_s: float, loss: float) -> dict[str, float]:
    return {"step": step, "seconds": spent_s, "loss": loss}


def _descend(task: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, config: LoopConfig) -> float:
    """One step down; returns the gradient's norm, and does nothing when that is not finite."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = float(nn.utils.clip_grad_norm_(task.parameters(), config.grad_clip))
    if math.isfinite(norm):
        optimizer.step()
    return norm


def set_learning_rate(optimizer: torch.optim.Optimizer, config: LoopConfig, step: int, done: float) -> None:
    """Linear warm-up, then half a cosine over the share `done` (0..1) of the time box."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    rate = config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def update_average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """ema <- decay * ema + (1 - decay) * model."""
    for averaged, current in zip(ema.parameters(), model.parameters(), strict=True):
        averaged.lerp_(current, 1 - decay)


def _report(run_dir: Path, step: int, spent_s: float, loss: float, norm: float, figures: dict[str, float]) -> None:
    row = {"step": step, "seconds": round(spent_s, 1), "loss": round(loss, 4), "grad_norm": round(norm, 3)}
    row |= {name: round(value, 4) for name, value in figures.items()}
    with (run_dir / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)


def describe(config: LoopConfig) -> dict[str, float]:
    """The recipe as plain values, for metadata."""
    return asdict(config)
