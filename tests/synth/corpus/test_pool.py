"""Work shared out to processes: every answer comes back, and a process that dies is no riddle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synth.corpus.pool import finished, worker_pool
from synth.errors import UserError


def halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def die(_number: int) -> int:
    os._exit(9)  # as the kernel ends a process when memory runs out


@pytest.mark.parametrize("n_workers", [0, 1])
def test_every_task_is_answered_and_faults_stay_with_their_task(n_workers: int) -> None:
    with worker_pool(n_workers) as pool:
        outcomes = dict(finished(halve, range(9), pool, n_workers))
    assert sorted(outcomes) == list(range(9))
    assert [outcomes[task].result() for task in (0, 2, 4, 6, 8)] == [0, 1, 2, 3, 4]
    assert all(isinstance(outcome.exception(), ValueError) for task, outcome in outcomes.items() if task % 2)


def test_a_process_that_was_killed_is_said_in_one_line() -> None:
    with worker_pool(1) as pool, pytest.raises(UserError, match="A worker process was ended"):
        list(finished(die, range(20), pool, 1))


def test_closing_early_drops_what_has_not_begun(tmp_path: Path) -> None:
    with worker_pool(1) as pool:
        outcomes = finished(Path.touch, [tmp_path / str(number) for number in range(200)], pool, 1)
        next(outcomes)
        outcomes.close()
    assert len(list(tmp_path.iterdir())) < 20
