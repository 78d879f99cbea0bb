"""Real keys on a real display: the page, the recording, and panic behind a dialog."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import REPOSITORY
from tests.dependants import dependent
from tests.e2e.desktop import XDisplay

PATIENCE_S = 120.0


class Shown:
    """The program of tests/ui/shown_page.py on a display."""

    def __init__(self, display: XDisplay) -> None:
        self.display = display
        environment = os.environ | {"DISPLAY": display.name, "QT_QPA_PLATFORM": "xcb"}
        self._process = subprocess.Popen(
            dependent([sys.executable, "-m", "tests.ui.shown_page"]),
            cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, word: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self._words.get(timeout=max(deadline_s - time.monotonic(), 0.01)) != word:
            pass

    def ask(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def press(self, key: str) -> None:
        self.display.xdotool("key", key)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._words.put(line.strip())


@pytest.mark.display
def test_keys_reach_the_page_and_panic_passes_a_dialog() -> None:
    with XDisplay() as display:
        shown = Shown(display)
        try:
            shown.wait_for("ready")
            window = display.xdotool("search", "--sync", "--onlyvisible", "--name", "Stridor").split()[0]
            display.xdotool("windowfocus", "--sync", window)
            shown.press("ctrl+m")
            shown.wait_for("page")
            shown.press("r")
            shown.wait_for("recording")
            shown.press("F12")
            shown.wait_for("panic")
            shown.ask("dialog")
            shown.wait_for("dialog")
            dialog = display.xdotool("search", "--sync", "--onlyvisible", "--name", "Preferences").split()[-1]
            display.xdotool("windowfocus", "--sync", dialog)
            shown.press("F12")
            shown.wait_for("panic")
            shown.press("Escape")
            display.xdotool("windowfocus", "--sync", window)
            shown.press("ctrl+m")
            shown.wait_for("hidden")
        finally:
            shown.close()
