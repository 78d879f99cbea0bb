"""What disturbs playing in the bench: rendering behind it, and a window that does the worst it can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from app.commands.stage_bench.window import BenchWindow, Noise
from app.render.process import RENDER_NICENESS
from app.store.presets import DEMO_FOLDER


@contextmanager
def disturbed(window: BenchWindow | None) -> Iterator[None]:
    """A process that renders again and again, and a busy loop with forced collections beside it.

    The loop runs in the host's process, which starts and watches the engine, and in the window's where there is one.
    """
    busy, noise = busy_process(), Noise()
    if window is not None:
        window.noise(True)
    try:
        yield
    finally:
        if window is not None:
            window.noise(False)
        noise.end()
        end(busy)


def busy_process() -> subprocess.Popen[bytes]:
    """Renders in the background, again and again, as nicely as the window's own sampler does."""
    demo = DEMO_FOLDER / "first_breath.stridor"
    again = f"import os, subprocess, sys\nif hasattr(os, 'nice'): os.nice({RENDER_NICENESS})\n"
    again += "while True: subprocess.run(sys.argv[1:], capture_output=True)"
    command = [sys.executable, "-m", "app.main", "bench", "render", "--passage", str(demo), "--repeats", "3", "--json"]
    return subprocess.Popen([sys.executable, "-c", again, *command], start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it with everything it started."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.kill()  # first: it would start another
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
