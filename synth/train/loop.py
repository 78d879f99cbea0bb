"""The time-boxed, resumable training loop that every model shares, on a CPU or a GPU."""

from __future__ import annotations

import logging
import math
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from synth.errors import UserError
from synth.train.checkpoint import Progress, load_checkpoint, save_average, save_checkpoint
from synth.train.descent import Batch, Descent, Figures, Reading, Task, resolve_device
from synth.train.interruption import stop_signals
from synth.train.processes import join_processes
from synth.train.run_log import RunLog

__all__ = ["Batch", "LoopConfig", "LoopReport", "describe", "peak_memory_mb", "train"]

log = logging.getLogger(__name__)

MakeBatch = Callable[[np.random.Generator], Batch]
CHECKPOINT_FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"
VALIDATION = "validation"  # the figure of a task's validate() that chooses the best checkpoint: lower is better
_SMALLEST_RATE = 0.02
_SILENCE_S = 15.0
_ALL_DONE = 1.0 - 1e-6  # a share that was averaged over processes in single precision


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long, how fast and where to train.

    minutes             time box of the whole schedule: the learning rate reaches its end there, over all resumed runs
    max_steps           stop earlier after so many steps (tests, exact comparisons)
    device              "cpu", "cuda", "cuda:1"... or "auto"
    batch_threads       how many batches are made ahead, each on a thread; batches made on a GPU are made in line, and
                        all are with 0: right for batches that are a few torch operations, which quarrel with the
                        step's own over the cores
    validate_every_reports  how many reports apart a task's validate() is called, where it has one
    skips_before_abort  so many steps in a row without a finite gradient end the training
    clock               what the time box counts: seconds on the "wall", or on the "processor" a thread, which compares
                        trainings on a machine that has other work too
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
    device: str = "cpu"
    betas: tuple[float, float] = (0.9, 0.98)
    batch_threads: int = 1
    validate_every_reports: int = 1
    skips_before_abort: int = 50
    clock: Literal["wall", "processor"] = "wall"

    def now_s(self) -> float:
        """Seconds of `clock` since some moment."""
        return time.monotonic() if self.clock == "wall" else time.process_time() / torch.get_num_threads()


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What a run did, over all resumed runs.

    loss                    smoothed, at the end
    peak_memory_mb          largest resident memory of this process
    peak_device_memory_mb   the most the GPU's allocator held; 0 on the CPU
    skipped_steps           whose loss or gradient was not finite
    micro_batches           parts every batch was split into, because memory ran out; 1: never
    best_validation, best_step  NaN and 0 without a task that validates
    stopped                 ended before its time, by a signal or by should_stop; the same call resumes it
    """

    steps: int
    seconds: float
    loss: float
    peak_memory_mb: float
    peak_device_memory_mb: float = 0.0
    device: str = "cpu"
    skipped_steps: int = 0
    micro_batches: int = 1
    best_validation: float = math.nan
    best_step: int = 0
    stopped: bool = False


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(
    task: Task,
    make_batch: MakeBatch,
    config: LoopConfig,
    run_dir: Path,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Task, LoopReport]:
    """Train `task` in place until the time box ends; returns (moving average of the task, report).

    task         a module whose forward takes a batch and gives a scalar loss and figures for the log (numbers, or
                 tensors on the device, which cost no waiting); see Descent for what else it may say. With a method
                 validate() -> figures it is asked at reports, as the moving average; of the figure "validation" the
                 lowest is kept in best.safetensors
    make_batch   rng -> batch, on the CPU or the GPU; the rng is seeded by (seed, step), so the data order does not
                 depend on where a run was interrupted. For random numbers on the GPU: generator_of(rng, device)
    run_dir      checkpoint.safetensors and log.jsonl live here; an existing checkpoint is resumed
    Ctrl-C and SIGTERM end it after the step, with a checkpoint. UserError when the training diverges.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    rates = {"lr": config.learning_rate, "betas": config.betas, "weight_decay": config.weight_decay}
    processes = join_processes()
    descent = Descent(task, resolve_device(config.device), rates, config.grad_clip, processes)
    run = _Run(descent, config, run_dir)
    run.resume()
    with run.log, _batches(make_batch, config, run.progress.step) as batches, stop_signals() as signalled:
        while not run.is_over():
            processes.propose(stop=run.out_of_time() or signalled() or should_stop(), done=run.done())
            if processes.stop:
                # By the first process's clock, as the end was: all must agree on whether a further stage begins.
                run.stopped = processes.done < _ALL_DONE
                break
            run.advance(next(batches))
        run.finish()
    processes.wait()
    return descent.average, run.report()


def prepare_torch(n_threads: int) -> None:
    """Torch's global settings for a program that trains: threads of the processor, and TF32 where a GPU has it."""
    torch.set_num_threads(n_threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


def generator_of(rng: np.random.Generator, device: torch.device | str) -> torch.Generator:
    """A generator on `device` that depends on nothing but `rng`."""
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def describe(config: LoopConfig) -> dict[str, Any]:
    """The recipe as plain values, for metadata."""
    return asdict(config)


def learning_rate(config: LoopConfig, step: int, done: float) -> float:
    """Linear warm-up, then half a cosine over the share `done` (0..1) of the time box."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.learning_rate * warm * (_SMALLEST_RATE + (1.0 - _SMALLEST_RATE) * cosine)


class _Run:
    """A training under way: its clock, its counters and its folder."""

    def __init__(self, descent: Descent[Any], config: LoopConfig, run_dir: Path) -> None:
        self.descent, self.config, self.folder = descent, config, run_dir
        self.progress = Progress()
        self.log = RunLog(run_dir)
        self._started_s, self._saved_s = config.now_s(), time.monotonic()
        self._rate = 0.0
        self.stopped = False
        if descent.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(descent.device)

    @property
    def spent_s(self) -> float:
        return self.config.now_s() - self._started_s

    def resume(self) -> None:
        checkpoint = self.folder / CHECKPOINT_FILE
        if checkpoint.exists():
            self.progress = load_checkpoint(checkpoint, self.descent.task, self.descent.average, self.descent.optimizer)
            self.descent.resume(self.progress.loss, self.progress.skipped_steps, self.progress.micro_batches)
            log.info("resumed at step %d after %.0f s", self.progress.step, self.progress.seconds)
        processes = self.descent.processes
        processes.start_alike([self.descent.task, self.descent.average])
        processes.begin(self.progress.seconds / (self.config.minutes * 60))
        if processes.is_first:
            self.log.drop_after(self.progress.step)
        self._started_s = self.config.now_s() - self.progress.seconds
        self._saved_s = time.monotonic()

    def is_over(self) -> bool:
        """As far as the steps go."""
        return self.progress.step >= self.config.max_steps

    def out_of_time(self) -> bool:
        return self.spent_s >= self.config.minutes * 60

    def done(self) -> float:
        """The share of the time box that is over, 0..1."""
        return min(self.spent_s / (self.config.minutes * 60), 1.0)

    def advance(self, batch: Batch) -> None:
        """One step, and what is due after it."""
        config, step = self.config, self.progress.step
        self._rate = learning_rate(config, step, self._done())
        self.descent.set_rate(self._rate)
        loss, figures = self.descent.gradients(batch, config.seed * 1_000_003 + step)
        self.descent.step(loss, figures, min(config.ema_decay, (1 + step) / (10 + step)))
        self.progress = replace(self.progress, step=step + 1, seconds=self.spent_s)
        if (step + 1) % config.report_every_steps == 0:
            self._report()
        elif self.descent.processes.is_first and self.log.silent_s > _SILENCE_S:
            self._give_a_sign()
        if time.monotonic() - self._saved_s > config.checkpoint_every_s:
            self.save()

    def _done(self) -> float:
        """The share of the schedule, by time or by steps, as all processes have it."""
        return max(self.descent.processes.done, self.progress.step / self.config.max_steps)

    def _report(self) -> None:
        reading = self.descent.read()
        self._check(reading)
        if not self.descent.processes.is_first:
            return
        figures = dict(reading.figures)
        if (self.progress.step // self.config.report_every_steps) % self.config.validate_every_reports == 0:
            figures |= self._validate()
        row = {"loss": reading.loss, "grad_norm": reading.grad_norm, "learning_rate": self._rate}
        if reading.skipped_steps:
            row["skipped_steps"] = reading.skipped_steps
        self.log.write(self.progress.step, self.spent_s, self._done(), row | figures)

    def finish(self) -> None:
        """Report what the last steps were worth, and write the checkpoint."""
        if self.log.last_step < self.progress.step:
            self._report()
        self.save()

    def _give_a_sign(self) -> None:
        """Reports are many steps apart, which can be minutes: whoever watches hears of it in between."""
        reading = self.descent.read()
        self._check(reading)
        self.log.tell(self.progress.step, self.spent_s, self._done(), reading.loss)

    def _check(self, reading: Reading) -> None:
        if reading.skipped_in_a_row >= self.config.skips_before_abort:
            raise UserError(
                f"The training diverged: {reading.skipped_in_a_row} steps in a row had no finite gradient.",
                remedy=f"{self.folder / CHECKPOINT_FILE} is from before; go on from it with a lower learning rate.",
            )

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        validate: Callable[[], Figures] | None = getattr(self.descent.average, "validate", None)
        if validate is None:
            return {}
        self.descent.complete_average()
        torch.manual_seed(self.config.seed)
        figures = {name: float(value) for name, value in validate().items()}
        score = figures.get(VALIDATION, math.nan)
        best = self.progress.best_validation
        if math.isfinite(score) and not score >= best:
            self.progress = replace(self.progress, best_validation=score, best_step=self.progress.step)
            save_average(self.folder / BEST_FILE, self.descent.task, self.descent.average, self.progress)
        return figures

    def save(self) -> None:
        """Write the checkpoint; one with weights that are no numbers never replaces a good one."""
        reading = self.descent.read()
        self._check(reading)
        if not self.descent.is_finite():
            raise UserError(
                "The training diverged: there are weights that are not finite.",
                remedy=f"{self.folder / CHECKPOINT_FILE} is from before; go on from it with a lower learning rate.",
            )
        self.descent.complete_average()
        self.progress = replace(
            self.progress, seconds=self.spent_s, loss=reading.loss, skipped_steps=reading.skipped_steps,
            micro_batches=self.descent.n_parts,
        )  # fmt: skip
        descent = self.descent
        if descent.processes.is_first:
            path = self.folder / CHECKPOINT_FILE
            save_checkpoint(path, descent.task, descent.average, descent.optimizer, self.progress)
        self._saved_s = time.monotonic()

    def report(self) -> LoopReport:
        progress, device = self.progress, self.descent.device
        on_device = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
        return LoopReport(
            progress.step, progress.seconds, progress.loss, peak_memory_mb(), on_device, str(device),
            progress.skipped_steps, progress.micro_batches, progress.best_validation, progress.best_step, self.stopped,
        )  # fmt: skip


@contextmanager
def _batches(make_batch: MakeBatch, config: LoopConfig, step: int) -> Iterator[Iterator[Batch]]:
    """Batches of step, step + 1, ...: ahead on threads when they are made on the CPU, else when they are wanted."""

    def made(at: int) -> Batch:
        return make_batch(np.random.default_rng((config.seed, at)))

    def pinned(at: int) -> Batch:
        return {name: value.pin_memory() for name, value in made(at).items()} if pin else made(at)

    def in_line(at: int) -> Iterator[Batch]:
        while True:
            yield made(at)
            at += 1

    def ahead(pool: ThreadPoolExecutor, first: Batch, at: int) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque(pool.submit(pinned, at + 1 + n) for n in range(config.batch_threads))
        yield first
        while True:
            batch = waiting.popleft().result()
            at += 1
            waiting.append(pool.submit(pinned, at + config.batch_threads))
            yield batch

    if step >= config.max_steps:
        yield iter(())
        return
    pin = resolve_device(config.device).type == "cuda"
    first = made(step)
    if config.batch_threads == 0 or any(value.device.type != "cpu" for value in first.values()):
        yield in_line(step)
        return
    pool = ThreadPoolExecutor(max_workers=config.batch_threads)
    try:
        yield ahead(pool, first, step)
    finally:
        pool.shutdown(cancel_futures=True)
