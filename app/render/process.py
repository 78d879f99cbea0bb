"""The sampler process: spawned, owns torch, ends with whoever started it."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import threading
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from app.render.pipe import Disconnected
from app.render.worker import Worker, WorkerSettings
from app.report import set_up_logging

_log = logging.getLogger(__name__)

RENDER_NICENESS = 5  # the window and the sound go first
_EXIT_ORPHANED = 3


def spawn_sampler(settings: WorkerSettings) -> tuple[SpawnProcess, Connection]:
    """Start a sampler process -> (process, our end of its pipe). It answers with EngineReady or EngineFailed."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_sampler, args=(theirs, settings), name="stridor-sampler", daemon=True)
    process.start()
    # Otherwise our copy keeps the pipe open after the process has died, and its death goes unnoticed.
    theirs.close()
    return process, ours


def run_sampler(connection: Connection, settings: WorkerSettings) -> None:
    """What the process does: work until told to quit, or until its parent has gone."""
    # Ctrl-C in a terminal reaches every process of the group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(RENDER_NICENESS)
    set_up_logging("sampler")
    threading.Thread(target=_end_with_parent, args=(settings.folder,), name="parent-watch", daemon=True).start()
    try:
        worker = Worker(connection, settings)
        # What is loaded by now stays; collecting it again and again would only cost time.
        gc.freeze()
        worker.run()
    except Disconnected:
        _log.info("the window has gone; the sampler ends")
    finally:
        connection.close()


def _end_with_parent(folder: Path) -> None:
    """A long call into torch does not look at the pipe; this thread does not wait for it."""
    parent = parent_process()
    if parent is None:
        return
    sentinels: list[Any] = [parent.sentinel]
    wait(sentinels)
    shutil.rmtree(folder, ignore_errors=True)  # the parent would have done it
    os._exit(_EXIT_ORPHANED)
