"""Windows that are killed: what played alone is gone with them, what they had joined plays on. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.services.attached import AttachedSession
from app.services.stage_door import ask, is_answered
from tests.tiny_weights import save_tiny_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 160.0
ORPHAN_LIMIT_S = 20.0  # as long as a loaded machine may take to notice


class Players:
    """Processes of tests.app.services.performing, with a runtime folder and a home of their own."""

    def __init__(self, folder: Path) -> None:
        self.weights = save_tiny_weights(folder / "weights")
        self.door = folder / "stridor" / "live.sock"
        homes = {name: str(folder / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
        self._environment = {**os.environ, **homes, "XDG_RUNTIME_DIR": str(folder), "JACK_NO_START_SERVER": "1"}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, role: str) -> tuple[subprocess.Popen[str], list[int]]:
        """-> the process, once it plays, and the processes that must end with it."""
        arguments = [sys.executable, "-m", "tests.app.services.performing", role, str(self.weights)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=self._environment)
        self._running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{role} ended with {process.wait()}"
        return process, json.loads(line)

    def close(self) -> None:
        for process in self._running:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def players(tmp_path: Path) -> Iterator[Players]:
    made = Players(tmp_path)
    yield made
    made.close()


def until(wanted: Callable[[], bool], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not wanted():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_window_that_played_alone_leaves_no_process_behind(players: Players) -> None:
    window, pids = players.start("alone")
    assert len(pids) == 3, "performer, live sampler and sound server"
    assert all(is_alive(pid) for pid in pids)
    window.send_signal(signal.SIGKILL)
    window.wait()
    until(lambda: not any(is_alive(pid) for pid in pids), ORPHAN_LIMIT_S)


def test_a_killed_window_that_had_joined_leaves_the_performance_playing(players: Players) -> None:
    live, pids = players.start("live")
    window, _ = players.start("joined")
    before: dict[str, Any] = ask("status", path=players.door, limit_s=PATIENCE_S)
    assert before["notes"] == 2
    window.send_signal(signal.SIGKILL)
    window.wait()
    time.sleep(1.0)
    after: dict[str, Any] = ask("status", path=players.door, limit_s=PATIENCE_S)
    assert after["state"] == "playing"
    assert (after["notes"], after["lost_notes"]) == (2, before["lost_notes"])
    another = AttachedSession(players.door)
    another.start()
    another.note_on(50.0, 90)
    until(lambda: ask("status", path=players.door, limit_s=PATIENCE_S)["notes"] == 3, PATIENCE_S)
    another.close()
    assert all(is_alive(pid) for pid in pids)
    ask("stop", path=players.door, limit_s=PATIENCE_S)
    until(lambda: live.poll() is not None, PATIENCE_S)
    assert live.returncode == 0
    assert not is_answered(players.door)
    until(lambda: not any(is_alive(pid) for pid in pids), ORPHAN_LIMIT_S)
