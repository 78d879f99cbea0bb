"""Many small tasks shared out to processes that are started once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Final, TypeVar

from synth.errors import UserError

_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PENDING_PER_WORKER: Final = 4
_Task = TypeVar("_Task")
_Answer = TypeVar("_Answer")


@contextlib.contextmanager
def worker_pool(n_workers: int) -> Iterator[Executor | None]:
    """Processes that are started once for all of a build; None where the work is done in this one."""
    if not n_workers:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with _single_threaded_children(), ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        yield pool


def finished(
    work: Callable[[_Task], _Answer], tasks: Iterable[_Task], pool: Executor | None, n_workers: int
) -> Generator[tuple[_Task, Future[_Answer]], None, None]:
    """Each task with its finished future, in the order they finish. Closing it early drops what has not begun.

    Raises UserError when a process was killed, as it is where memory runs out: no task can be trusted to it then.
    """
    if pool is None:
        for task in tasks:
            outcome: Future[_Answer] = Future()
            try:
                outcome.set_result(work(task))
            except Exception as fault:
                outcome.set_exception(fault)
            yield task, outcome
        return
    try:
        yield from _finished_by_workers(work, tasks, pool, n_workers)
    except BrokenProcessPool as fault:
        raise UserError(
            "A worker process was ended before its work was done; memory may have run out.",
            remedy="Use fewer workers and start again: what is done is kept.",
        ) from fault


def _finished_by_workers(
    work: Callable[[_Task], _Answer], tasks: Iterable[_Task], pool: Executor, n_workers: int
) -> Generator[tuple[_Task, Future[_Answer]], None, None]:
    waiting = iter(tasks)
    pending = {pool.submit(work, task): task for task in islice(waiting, n_workers * _PENDING_PER_WORKER)}
    try:
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                if isinstance(fault := future.exception(), BrokenProcessPool):
                    raise fault
                yield pending.pop(future), future
                for task in islice(waiting, 1):
                    pending[pool.submit(work, task)] = task
    finally:
        if pending:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Numeric libraries read these when a process starts; beside other workers, threads only get in the way."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
