"""The report's work, in this process or shared by several: every result is a file, so whoever measures may be ended."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.evaluate.options import EngineChoice
from app.commands.evaluate.rendering import render_elsewhere
from synth.errors import UserError

if TYPE_CHECKING:
    from synth.evaluate.report import PartResult
    from synth.evaluate.sizes import Sizes
    from synth.evaluate.workbench import Workbench

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured, as it goes to another process.

    is_baseline   the baseline sings, in the voice's place; its results lie in a folder of their own
    """

    choice: EngineChoice
    output: Path
    sizes: Sizes
    corpus: Path | None = None
    encoders: tuple[Path, ...] = ()
    teacher: Path | None = None
    baseline: Path | None = None
    baseline_steps: int = 50
    is_baseline: bool = False

    def workbench(self) -> Workbench:
        """With the engine loaded. Raises UserError where it cannot be."""
        from synth.evaluate.workbench import Workbench

        if self.is_baseline and self.baseline is not None:
            singer = self.choice.baseline(self.baseline, self.baseline_steps)
        else:
            singer = self.choice.singer()
        return Workbench(
            singer,
            corpus=self.corpus,
            weights=self.choice.weights,
            encoders=self.encoders,
            teacher=None if self.teacher is None else replace(self.choice, weights=self.teacher).singer(),
            baseline=self.baseline,
            render=render_elsewhere(self.choice),
            output=self.output,
            sizes=self.sizes,
        )


Told = Callable[[str, int, int, float], None]


def measure(
    order: Order,
    bench: Workbench,
    names: Sequence[str],
    *,
    jobs: int,
    limit_s: float | None,
    kept: Mapping[str, PartResult],
    on_result: Callable[[], None],
    on_progress: Told,
) -> None:
    """Run what is not kept, writing every result to the order's folder.

    bench     the order's, for what is measured in this process
    limit_s   wall-clock time of everything together
    """
    from synth.evaluate.parts import PARTS

    left = [name for name in names if name not in kept]
    alone = [name for name in left if PARTS[name].is_timed]
    shared = [name for name in left if not PARTS[name].is_timed]
    if jobs < 2 or len(shared) < 2:
        _run(bench, order.output, left, limit_s, on_result, on_progress)
        return
    started_s = time.monotonic()
    if alone:
        _run(bench, order.output, alone, _share(alone, left, limit_s, jobs), on_result, on_progress)
    left_s = None if limit_s is None else max(limit_s - (time.monotonic() - started_s), 0.0)
    one_thread = replace(order, choice=replace(order.choice, threads=1))
    _run_beside(one_thread, groups(shared), jobs, left_s, on_result, on_progress)


def groups(names: Sequence[str]) -> list[list[str]]:
    """Parts that belong in one process, since they work on the same singing, together; the longest first."""
    from synth.evaluate.parts import PARTS
    from synth.evaluate.report import minutes_of

    together = [name for name in names if PARTS[name].sings_again]
    others = [[name] for name in names if not PARTS[name].sings_again]
    return sorted([*([together] if together else []), *others], key=minutes_of, reverse=True)


def _share(some: Sequence[str], everything: Sequence[str], limit_s: float | None, jobs: int) -> float | None:
    """Wall-clock time of parts that have all processors to themselves, of that of everything."""
    from synth.evaluate.report import minutes_of

    if limit_s is None:
        return None
    own, others = minutes_of(some), minutes_of(everything) - minutes_of(some)
    return limit_s * own / max(own + others / jobs, 1e-9)


def _run(
    bench: Workbench,
    folder: Path,
    names: Sequence[str],
    limit_s: float | None,
    on_result: Callable[[], None],
    on_progress: Told,
) -> None:
    from synth.evaluate.kept import keep
    from synth.evaluate.report import run_parts

    def told(result: PartResult) -> None:
        keep(folder, result)
        on_result()

    run_parts(bench, names, limit_s=limit_s, on_result=told, on_progress=on_progress)


def _run_beside(
    order: Order,
    waiting: list[list[str]],
    jobs: int,
    limit_s: float | None,
    on_result: Callable[[], None],
    on_progress: Told,
) -> None:
    """A process a group, at most `jobs` at a time; each ends with its group, or when this one has gone."""
    context = multiprocessing.get_context("spawn")
    # Products of matrices in one process would otherwise take the other's core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ends_s = None if limit_s is None else time.monotonic() + limit_s
    total = len(waiting)
    running: list[_Running] = []
    seen: set[Path] = set()
    failed: list[str] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            own_s = None if ends_s is None else _own_s(waiting, running, jobs, ends_s)
            names = waiting.pop(0)
            work = context.Process(target=_work, args=(order, names, own_s), name=" ".join(names))
            work.start()
            running.append(_Running(work, names, time.monotonic() + (own_s or 0.0)))
        running[0].work.join(_POLL_S)
        for ended in [one for one in running if not one.work.is_alive()]:
            running.remove(ended)
            failed += ended.names if ended.work.exitcode != 0 else []
        fresh = set((order.output / "parts").glob("*.json")) - seen
        if fresh:
            seen |= fresh
            on_result()
        busy_with = ", ".join(name for one in running for name in one.names)
        on_progress(busy_with, total - len(waiting) - len(running), total, 0.0)
    if failed:
        raise UserError(
            f"The processes that measured {', '.join(failed)} ended early.", remedy="Run the same command again."
        )


@dataclass(frozen=True, slots=True)
class _Running:
    """A process, what it measures, and when its time is over by time.monotonic()."""

    work: Any
    names: list[str]
    ends_s: float


def _own_s(waiting: Sequence[list[str]], running: Sequence[_Running], jobs: int, ends_s: float) -> float:
    """Seconds for the first of the groups that wait: its share of what those running leave of all processes' time."""
    from synth.evaluate.report import minutes_of

    now_s = time.monotonic()
    left_s = max(ends_s - now_s, 1.0)
    free_s = jobs * left_s - sum(min(max(one.ends_s - now_s, 0.0), left_s) for one in running)
    minutes = [minutes_of(names) for names in waiting]
    return min(left_s, max(free_s, 1.0) * minutes[0] / sum(minutes))


def _work(order: Order, names: Sequence[str], limit_s: float | None) -> None:
    """In a process of its own."""
    parent = multiprocessing.parent_process()

    def stop_if_alone() -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)

    _run(order.workbench(), order.output, names, limit_s, stop_if_alone, lambda *_: None)
