"""A desktop of a test's own: a private X display, and the program on it, used as a person uses it.

    with XDisplay() as display, Stridor(display, passage, home) as program:
        program.wait_for_render(1)
        program.press("space")
        program.draw("roughness", [(1.0, 0.9), (1.6, 0.9)])

Keys and mouse go through the X server (XTEST), as those of real devices do. Every wait has a limit, and the program
with all of its processes is gone when the context ends.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.conftest import REPOSITORY
from tests.dependants import dependent
from tests.e2e.layout import Surface, surface_of

PATIENCE_S = 150.0
_TITLE = "Stridor"
_SCREEN = "1600x1000x24"
_RENDERED = re.compile(r"render \d+ finished")
_PEN_STEPS = 24


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> None:
    """Until `condition` holds. Raises TimeoutError."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"in vain: {what}")
        time.sleep(0.02)


class XDisplay:
    """Xvfb without a window manager, until the context ends. `name` is like ":7"."""

    name = ""

    def __enter__(self) -> Self:
        command = dependent(["Xvfb", "-displayfd", "1", "-screen", "0", _SCREEN, "-nolisten", "tcp"])
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self.name = f":{self._process.stdout.readline().strip()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def xdotool(self, *words: str) -> str:
        """Run one xdotool command -> what it prints. Raises CalledProcessError, TimeoutExpired."""
        environment = os.environ | {"DISPLAY": self.name}
        done = subprocess.run(
            ["xdotool", *words], env=environment, capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout.strip()


class Stridor:
    """The program, started as a person starts it, on folders of its own below `home`."""

    def __init__(self, display: XDisplay, passage: Path, home: Path) -> None:
        self.display, self.passage, self.home = display, passage, home
        self.environment = _environment(display, home)
        self._surfaces: dict[str, Surface] = {}
        self._family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        self._surfaces = self._measured_layout()
        self._complaints = (self.home / "stderr.txt").open("w+")
        command = dependent([sys.executable, "-m", "app.main", "--open", str(self.passage)])
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stderr=self._complaints)
        try:
            self._window = self._find_window()
            self.display.xdotool("windowfocus", "--sync", self._window)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def family(self) -> list[psutil.Process]:
        """The program and every process it has started that still runs."""
        try:
            program = psutil.Process(self.process.pid)
            found = [program, *program.children(recursive=True)]
        except psutil.NoSuchProcess:
            found = []
        self._family = list({*self._family, *found})
        return [process for process in self._family if _runs(process)]

    def complaints(self) -> str:
        """What the program has written to the terminal."""
        return (self.home / "stderr.txt").read_text()

    def log(self, role: str) -> str:
        """The log of one of its processes; empty before it has one."""
        found = list((self.home / "state").glob(f"**/{role}.log"))
        return found[0].read_text() if found else ""

    def n_renders(self) -> int:
        """Renders finished since the start."""
        return len(_RENDERED.findall(self.log("sampler")))

    def wait_for_render(self, n: int) -> None:
        """Until so many renders have finished. Raises TimeoutError."""
        self.family()
        wait_until(lambda: self.n_renders() >= n or self.process.poll() is not None, f"render {n} finishes")
        if self.process.poll() is not None:
            raise RuntimeError(f"the program has ended:\n{self.complaints()}")

    def press(self, *keys: str) -> None:
        """Press and let go keys, by their X names."""
        for key in keys:
            self.display.xdotool("key", key)

    def draw(self, lane_id: str, path: Sequence[tuple[float, float]]) -> None:
        """One stroke of the mouse through (seconds, value), the left button held."""
        surface = self._surfaces[lane_id]
        places = [surface.at(*place) for place in path]
        words = [*_move(places[0]), "mousedown", "1"]
        for (x0, y0), (x1, y1) in itertools.pairwise(places):
            for step in range(1, _PEN_STEPS + 1):
                share = step / _PEN_STEPS
                words += [*_move((round(x0 + (x1 - x0) * share), round(y0 + (y1 - y0) * share))), "sleep", "0.008"]
        self.display.xdotool(*words, "mouseup", "1")

    def _measured_layout(self) -> dict[str, Surface]:
        command = [sys.executable, "-m", "tests.e2e.layout", str(self.passage)]
        # Folders of its own: a window remembers where it was.
        environment = _environment(self.display, self.home / "layout")
        shown = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        if shown.returncode != 0:
            raise RuntimeError(f"no layout:\n{shown.stderr}")
        return {lane_id: surface_of(fields) for lane_id, fields in json.loads(shown.stdout).items()}

    def _find_window(self) -> str:
        found: list[str] = []

        def is_there() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the program does not start:\n{self.complaints()}")
            with contextlib.suppress(subprocess.CalledProcessError):
                found[:] = self.display.xdotool("search", "--onlyvisible", "--name", _TITLE).split()
            return bool(found)

        wait_until(is_there, "the window appears")
        return found[-1]

    def _end(self) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.terminate()
        _, left = psutil.wait_procs(family, timeout=10.0)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        self._complaints.close()


def _environment(display: XDisplay, home: Path) -> dict[str, str]:
    """That of a user who has never started the program."""
    home.mkdir(exist_ok=True)
    found = os.environ | {"DISPLAY": display.name, "QT_QPA_PLATFORM": "xcb", "TMPDIR": str(home), "HOME": str(home)}
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return found | folders


def _move(place: tuple[int, int]) -> list[str]:
    return ["mousemove", str(place[0]), str(place[1])]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
