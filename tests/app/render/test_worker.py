"""The sampler process's loop, run here: what it leaves behind when something more urgent comes, or the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from app.render.events import RenderProgress
from app.render.messages import Command, Quit, Render
from app.render.worker import Worker, WorkerSettings
from app.state.passage import Note, Passage, Voice
from tests.app.render.fake_engine import FakeEngine

_STEP_S = 0.05


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def _choir() -> Passage:
    voice = Voice(notes=tuple(Note(float(start), 0.9, 55.0) for start in range(30)))
    return Passage(30.0, voices=tuple(replace(voice, seed=seed) for seed in range(3)))


def _busy_worker(folder: Path, engine: FakeEngine) -> tuple[threading.Thread, Connection]:
    """A worker that has rendered a cell of three voices and goes on."""
    ours, theirs = Pipe()
    settings = WorkerSettings(folder, None, engine_loader=lambda _device, _threads: engine)
    worker = threading.Thread(target=Worker(theirs, settings).run, name="worker")
    worker.start()
    ours.send(Render(1, _choir(), "draft", 0.0, has_audio=False))
    while not (isinstance(reply := ours.recv(), RenderProgress) and reply.done_cells > 0):
        pass
    return worker, ours


def _tell(connection: Connection, *commands: Command) -> None:
    for command in commands:
        connection.send(command)


def test_the_end_does_not_wait_for_what_was_sampled_ahead(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    engine = FakeEngine(step_s=_STEP_S, threads=threads)
    worker, ours = _busy_worker(tmp_path, engine)
    _tell(ours, Quit())
    worker.join(5.0)
    assert not worker.is_alive()
    n_sampled = len(engine.sampled)
    threads.shutdown()
    assert len(engine.sampled) - n_sampled <= 3
