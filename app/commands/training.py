"""What the commands that train share: options, several processes, progress on the terminal, the report at the end."""

from __future__ import annotations

import functools
import importlib.util
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.terminal import ProgressLine, show
from app.store.atomic import write_atomically
from synth.errors import UserError

if TYPE_CHECKING:
    from synth.train.loop import LoopReport

FOLDER = click.Path(path_type=Path, file_okay=False)
_MARK = "training.txt"  # in a run folder: the command it belongs to
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Training:
    """What every training is told. device "auto" is the GPU where there is one; batch None: the recipe's own."""

    corpus: Path
    run: Path
    minutes: float
    seed: int
    device: str
    batch: int | None
    bf16: bool
    threads: int


def training(minutes: float, *, without: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the options every training has; it is called with a Training, its own options and `as_json`.

    without   names of options that this training has no use for
    """
    several = "As many processes on this machine, one a GPU, each with its share of every batch."
    options = [
        click.option("--corpus", type=FOLDER, required=True, help="A folder made by `stridor corpus build`."),
        click.option("--run", type=FOLDER, required=True, help="Folder of checkpoints, log and weights; resumed."),
        click.option("--minutes", type=click.FloatRange(min=0.0, min_open=True), default=minutes, show_default=True,
                     help="Time box, over all resumed runs together."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1..."),
        click.option("--bf16/--no-bf16", default=True, show_default=True, help="Mixed precision."),
        click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Of the processor."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
        click.option("--batch", type=click.IntRange(min=1), help="Excerpts in a batch."),
        click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help=several),
    ]  # fmt: skip
    names = ("corpus", "run", "minutes", "device", "bf16", "threads", "seed", "batch", "processes")
    options = [option for name, option in zip(names, options, strict=True) if name not in without]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.pass_context
        @functools.wraps(function)
        def run(context: click.Context, /, *, as_json: bool, processes: int = 1, **given: Any) -> None:
            if processes > 1 and "WORLD_SIZE" not in os.environ:
                context.exit(_launch(context, processes))
            unasked: dict[str, Any] = {"device": "cpu", "batch": None, "bf16": False}
            wanted = Training(**{name: given.pop(name, unasked.get(name)) for name in Training.__slots__})
            claim_run(wanted.run, str(context.info_name))
            with training_progress(str(context.info_name)):
                _prepare(wanted.threads)
                function(wanted, as_json=as_json, **given)

        result: Callable[..., Any] = run
        for option in reversed(options):
            result = option(result)
        return result

    return wrap


def show_report(weights: Path, report: LoopReport, *, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """How a training ended; of several processes only the first says it."""
    from synth.train.processes import join_processes

    if not join_processes().is_first:
        return
    result: dict[str, Any] = {"weights": weights, **report_values(report), **(more or {})}
    show(result, [f"{weights}: {report_line(report)}"], as_json=as_json)


def report_values(report: LoopReport) -> dict[str, Any]:
    """A report's fields by name."""
    return {name: getattr(report, name) for name in report.__slots__}


def report_line(report: LoopReport) -> str:
    """A report in a line."""
    parts = [f"{report.steps} steps in {report.seconds / 60.0:.1f} min on {report.device}, loss {report.loss:.4g}"]
    if math.isfinite(report.best_validation):
        parts.append(f"best validation {report.best_validation:.4g} at step {report.best_step}")
    memory = f"peak memory {report.peak_memory_mb:.0f} MB"
    if report.peak_device_memory_mb > 0.0:
        memory += f", {report.peak_device_memory_mb:.0f} MB on the GPU"
    parts.append(memory)
    if report.micro_batches > 1:
        parts.append(f"batches in {report.micro_batches} parts, because memory ran out")
    if report.skipped_steps:
        parts.append(f"{report.skipped_steps} steps without a finite gradient were skipped")
    if report.stopped:
        parts.append("stopped early; the same command goes on")
    return "; ".join(parts)


def claim_run(run: Path, what: str) -> None:
    """Write down whose folder this is. UserError when it is another training's."""
    mark = run / _MARK
    if mark.is_file():
        found = mark.read_text(encoding="utf-8").strip()
        if found != what:
            raise UserError(f"{run} is the folder of `{found}`, not of `{what}`.", remedy="Give another --run folder.")
        return
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, f"{what}\n".encode())


def _prepare(threads: int) -> None:
    from synth.train.loop import prepare_torch  # torch: `--help` must not wait for it

    prepare_torch(threads)


def _launch(context: click.Context, n_processes: int) -> int:
    """Run the same command line in `n_processes` processes. -> exit status"""
    from synth.train.processes import launch_command

    if importlib.util.find_spec("accelerate") is None:
        raise UserError(
            "Several processes train through accelerate, which is not installed.",
            remedy="Install the training extra: .[training].",
        )
    words = [*context.command_path.split()[1:], *_words(context)]
    command = [*launch_command(n_processes), "-m", "app.main", *words]
    return subprocess.run(command, check=False).returncode


def _words(context: click.Context) -> Iterator[str]:
    """The options of the command line again, without --processes."""
    for option in context.command.params:
        name, value = option.name, context.params.get(option.name or "")
        if name == "processes" or value is None or not isinstance(option, click.Option):
            continue
        if option.is_flag:
            yield from option.opts[:1] if value else option.secondary_opts[:1]
        else:
            yield from (option.opts[0], str(value))


class _ToTerminal(logging.Handler):
    """What the training says: reports move the bar, everything else is a line of its own."""

    def __init__(self, line: ProgressLine) -> None:
        super().__init__(logging.INFO)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        row: dict[str, Any] | None = getattr(record, "training", None)
        if row is None:
            sys.stderr.write(record.getMessage() + "\n")
            return
        rate, left_s, loss = row.get("steps_per_s"), row.get("left_s"), row.get("loss")
        note = [f"step {row['step']}"]
        note += [f"loss {loss:.4g}"] if loss is not None else []
        note += [f"validation {row['validation']:.4g}"] if row.get("validation") is not None else []
        note += [f"{rate:.3g} steps/s"] if rate is not None else []
        note += [f"{left_s / 60.0:.1f} min left"] if left_s is not None else []
        self._line.update(row["done"], 1.0, ", ".join(note))


@contextmanager
def training_progress(what: str) -> Iterator[None]:
    """Show on standard error what the training logs; of several processes only the first one's."""
    logger = logging.getLogger("synth")
    with ProgressLine(what, quiet=os.environ.get("RANK", "0") != "0") as line:
        terminal = _ToTerminal(line)
        if os.environ.get("RANK", "0") == "0":
            logger.addHandler(terminal)
        level = logger.level
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(terminal)
            logger.setLevel(level)
