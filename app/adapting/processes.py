"""Entry points of the processes that look, train and record. What they need is imported in them, never in the window's.

Each talks through a pipe: news come out of it, and whatever is sent into it, or its end, means stop.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from app.adapting.messages import Failed, News
from app.adapting.request import AdaptRequest, save_request
from app.adapting.runs import claim, mark_finished
from app.report import set_up_logging
from synth.errors import UserError, is_out_of_memory

_log = logging.getLogger(__name__)

_NICENESS: Final = 10  # playing, rendering and the window go first
_EXIT_ORPHANED: Final = 3


def run_look(connection: Connection, paths: tuple[Path, ...]) -> None:
    """Look recordings over."""
    _begin("looking")

    def work(tell: Callable[[News], None]) -> None:
        from app.adapting.looking import look

        look(paths, tell)

    _carry_out(connection, work)


def run_training(connection: Connection, request: AdaptRequest, run: Path) -> None:
    """Train in `run`, or go on, until it has finished or anything comes through the pipe."""
    _begin("adapting")

    def work(tell: Callable[[News], None]) -> None:
        claim(run)
        save_request(run, request)
        from app.adapting.training import carry_out

        outcome = carry_out(request, run, tell=tell, should_stop=lambda: connection.poll(0))
        if outcome.installed is not None:
            mark_finished(run, outcome.installed.id)

    _carry_out(connection, work)


def run_recorder(connection: Connection, path: Path | None, device: str | None) -> None:
    """Record a take, or list the microphones where there is no path."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("recording")
    from app.adapting.recording import serve_recorder

    serve_recorder(connection, path, device)


def _begin(what: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's business
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    set_up_logging(what)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _carry_out(connection: Connection, work: Callable[[Callable[[News], None]], None]) -> None:
    """Do the work and tell trouble in one line."""
    try:
        try:
            work(connection.send)
        except UserError as fault:
            connection.send(Failed(fault.message, fault.remedy))
        except BrokenPipeError:
            raise
        except Exception as fault:
            _log.exception("the work failed")
            if is_out_of_memory(fault):
                connection.send(Failed("Memory ran out.", "Close other programs, and resume: what was learnt is kept."))
            else:
                words = (str(fault).splitlines() or [type(fault).__name__])[0]
                connection.send(Failed(f"It failed: {words}", "What was learnt up to the last checkpoint is kept."))
    except OSError:
        _log.info("nobody listens any more")
    finally:
        connection.close()


def _end_with_parent() -> None:
    """A window that has gone cannot ask for a stop: what the last checkpoint holds is kept."""
    parent = parent_process()
    if parent is None:
        return
    sentinels: list[Any] = [parent.sentinel]
    wait(sentinels)
    os._exit(_EXIT_ORPHANED)
