"""The window in the bench: a process of its own that joins the performance, shows its page and redraws all the time.

    python -m app.commands.stage_bench.window    reads a command a line: "noise on", "noise off", "figures", "end"

It joins through the door of the performance, as any window does, on folders of its own. It has no audio device: of
those there is one in a performance, the live engine's.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from synth.errors import UserError

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

_REDRAW_MS: Final = 33
_READY_S: Final = 240.0
_ANSWER_S: Final = 10.0
_END_S: Final = 5.0
_PASSAGE_S: Final = 4.0
_NO_SERVER: Final = "stridor-bench-has-no-such-server"
_FOLDERS: Final = ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_BUSY_TERMS: Final = 20_000
_COLLECT_S: Final = 0.5


class Noise:
    """What a window may do at the worst: a busy loop and full collections, beside the thread that shows things."""

    def __init__(self) -> None:
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="bench-noise", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Be quiet again."""
        self._is_ending = True
        self._thread.join()

    def _run(self) -> None:
        collect_at_s = 0.0
        while not self._is_ending:
            sum(index * index for index in range(_BUSY_TERMS))
            if time.monotonic() > collect_at_s:
                gc.collect()
                collect_at_s = time.monotonic() + _COLLECT_S


@dataclass(slots=True)
class _Folders:
    folder: tempfile.TemporaryDirectory[str]

    @property
    def door(self) -> Path:
        return Path(self.folder.name) / "stridor" / "live.sock"


class BenchWindow:
    """The bench's side. The display has been chosen before (see app.commands.bench_editor.any_display)."""

    def __init__(self) -> None:
        self._folders = _Folders(tempfile.TemporaryDirectory(prefix="stridor-bench-"))
        self._process: subprocess.Popen[str] | None = None
        self._said: SimpleQueue[str] = SimpleQueue()

    @property
    def door(self) -> Path:
        """Where the performance's door must stand for the window to find it."""
        return self._folders.door

    def open(self, meanwhile: Callable[[float], None]) -> None:
        """Open it, unless it is open, and wait until it shows the performance. Raises UserError.

        meanwhile   called with seconds to spend, again and again
        """
        if self._process is not None and self._process.poll() is None:
            return
        folder = self._folders.folder.name
        environment = os.environ | dict.fromkeys(_FOLDERS, folder)
        environment |= {"JACK_DEFAULT_SERVER": _NO_SERVER, "JACK_NO_START_SERVER": "1"}
        complaints = Path(folder) / "stderr.txt"
        with complaints.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.commands.stage_bench.window"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment,
            )  # fmt: skip
        threading.Thread(target=self._listen, args=(self._process,), name="bench-window", daemon=True).start()
        if self._answer(_READY_S, meanwhile) != "ready":
            said = complaints.read_text().strip().splitlines()[-1:] or [f"not within {_READY_S:.0f} s"]
            self._end()
            raise UserError(f"The window does not open: {said[0]}.", remedy="Measure with --no-window.")

    def noise(self, is_on: bool) -> None:
        """Begin or end a busy loop and forced collections in the window's process."""
        self._ask(f"noise {'on' if is_on else 'off'}")

    def figures(self) -> dict[str, Any]:
        """Since the last call: frames_a_second, share_of_a_core."""
        self._ask("figures")
        answer = self._answer(_ANSWER_S, time.sleep)
        return json.loads(answer) if answer else {"gone": True}

    def close(self) -> None:
        """Close it. Idempotent."""
        self._end()
        self._folders.folder.cleanup()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # a window that is killed is what a performance must not notice
            process.wait(_END_S)

    def _ask(self, command: str) -> None:
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            return
        try:
            process.stdin.write(command + "\n")
            process.stdin.flush()
        except OSError:
            return

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            for line in process.stdout:
                self._said.put(line.strip())
        self._said.put("")

    def _answer(self, limit_s: float, meanwhile: Callable[[float], None]) -> str:
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            try:
                return self._said.get_nowait()
            except Empty:
                meanwhile(0.05)
        return ""


def _show() -> None:
    """The process."""
    from PySide6.QtCore import QTimer

    from app.commands.bench_editor import wait_until_ready
    from app.commands.evaluate_edits import gesture_passage
    from app.commands.instrument import make_instrument
    from app.store.recovery import RecoveryFile
    from app.store.settings import Settings
    from ui.application import build_window, make_application

    application = make_application()
    instrument = make_instrument(device="cpu")
    recovery = RecoveryFile(Path(os.environ["XDG_STATE_HOME"]) / "recovery")
    window = build_window(
        instrument, Settings(), gesture_passage(_PASSAGE_S), save=lambda _settings: None, recovery=recovery
    )
    instrument.start()
    window.show()
    window.session.start()
    wait_until_ready(application, window)
    window.middle.setCurrentWidget(window.performance)
    redrawing = QTimer()
    redrawing.setInterval(_REDRAW_MS)
    redrawing.timeout.connect(window.update)  # every widget in it
    redrawing.start()
    commands: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    obeying = _Obeying(commands)
    counting = _counter(obeying)
    window.installEventFilter(counting)
    looking = QTimer()
    looking.setInterval(_REDRAW_MS)
    looking.timeout.connect(obeying.look)
    looking.start()
    print("ready", flush=True)
    application.exec()


def _read(commands: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        commands.put(line.strip())
    os._exit(0)  # the bench has gone


class _Obeying:
    """Does what the bench says, on the window's thread.

    n_frames   how often the whole window has been painted since figures were last told
    """

    def __init__(self, commands: SimpleQueue[str]) -> None:
        self._commands = commands
        self._noise: Noise | None = None
        self.n_frames = 0
        self._since_s, self._cpu_s = time.monotonic(), time.process_time()

    def look(self) -> None:
        """Do the next thing that was said, if any."""
        try:
            command = self._commands.get_nowait()
        except Empty:
            return
        if command == "noise on" and self._noise is None:
            self._noise = Noise()
        elif command == "noise off" and self._noise is not None:
            self._noise.end()
            self._noise = None
        elif command == "figures":
            now_s, cpu_s = time.monotonic(), time.process_time()
            passed_s = now_s - self._since_s
            told = {"frames_a_second": self.n_frames / passed_s, "share_of_a_core": (cpu_s - self._cpu_s) / passed_s}
            print(json.dumps(told), flush=True)
            self.n_frames, self._since_s, self._cpu_s = 0, now_s, cpu_s


def _counter(obeying: _Obeying) -> QObject:
    from PySide6.QtCore import QEvent, QObject

    class Counter(QObject):
        """Counts the paints of what it is installed on."""

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
            if event.type() == QEvent.Type.UpdateRequest:
                obeying.n_frames += 1
            return super().eventFilter(watched, event)

    return Counter()


if __name__ == "__main__":
    _show()
