"""How smoothly the window draws: strokes of the pen over a long passage while the sampler renders behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.display import display_trouble
from app.commands.evaluate_edits import gesture_passage
from synth.errors import UserError

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from ui.window import MainWindow

_MOVE_EVERY_MS = 8  # what a 125 Hz mouse sends
_STROKE_S = 1.5
_READY_PATIENCE_S = 180.0
_SETTLE_S = 1.0
_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_DRAWN_LANES = ("loudness", "breathiness", "roughness")


@dataclass(frozen=True, slots=True)
class EditorReport:
    """frames: ui.frame_probe.FrameFigures as a dict, milliseconds; n_progress: cells rendered while drawing."""

    platform: str
    passage_s: float
    drawn_s: float
    n_strokes: int
    n_progress: int
    frames: dict[str, float | int]


def bench_editor(seconds: float, passage_s: float) -> EditorReport:
    """Open the window on a passage of `passage_s`, draw for `seconds`, close it. Raises UserError."""
    with any_display(), tempfile.TemporaryDirectory(prefix="stridor-bench-") as folder, own_folders(folder):
        from PySide6.QtGui import QGuiApplication

        from app.commands.instrument import make_instrument
        from app.store.recovery import RecoveryFile
        from app.store.settings import Settings
        from ui.application import build_window, make_application

        application = make_application()
        instrument = make_instrument(device="cpu")
        recovery = RecoveryFile(Path(folder) / "recovery")
        passage = gesture_passage(passage_s)
        window = build_window(instrument, Settings(), passage, save=lambda _: None, recovery=recovery)
        instrument.start()
        try:
            window.show()
            window.session.start()
            wait_until_ready(application, window)
            return draw_strokes(window, seconds, passage_s, QGuiApplication.platformName())
        finally:
            window.session.stop()
            instrument.close()
            window.deleteLater()
            application.processEvents()


def wait_until_ready(application: QApplication, window: MainWindow, *, patience_s: float = _READY_PATIENCE_S) -> None:
    """Until the model is loaded and the first render has been going on for a moment."""
    ready: list[object] = []
    failed: list[str] = []
    window.session.engine_ready.connect(ready.append)
    window.session.engine_failed.connect(failed.append)
    until_s = time.monotonic() + patience_s
    while not ready and time.monotonic() < until_s:
        application.processEvents()
        time.sleep(0.01)
        if failed:
            raise UserError(failed[0], remedy="`stridor doctor` shows what is missing.")
    if not ready:
        raise UserError("The model did not load in time.", remedy="Try again when the machine is less busy.")
    settled_s = time.monotonic() + _SETTLE_S
    while time.monotonic() < settled_s:
        application.processEvents()
        time.sleep(0.005)


def draw_strokes(window: MainWindow, seconds: float, passage_s: float, platform: str) -> EditorReport:
    """Stroke after stroke of the pen over three lanes for `seconds`, one mouse move every 8 ms, all of it on screen."""
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    rendered: list[object] = []
    window.session.render_progressed.connect(rendered.append)
    window.timeline.fit()
    views: list[Any] = [row.view for name in _DRAWN_LANES if (row := window.timeline.stack.row(name)) is not None]
    probe = window.context.probe
    probe.start()
    started_s = time.perf_counter()
    n_strokes = 0
    while time.perf_counter() - started_s < seconds:
        view = views[n_strokes % len(views)]
        left, width = 0.05 * view.width() + 0.12 * view.width() * (n_strokes % 6), 0.25 * view.width()
        steps = round(_STROKE_S * 1000 / _MOVE_EVERY_MS)

        def at(step: int, view: Any = view, left: float = left, width: float = width, steps: int = steps) -> QPoint:
            height = 0.5 + 0.35 * (1 if (step // 12) % 2 else -1) * (step % 12) / 12
            return QPoint(round(left + width * step / steps), round(height * view.height()))

        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=at(0))
        for step in range(1, steps):
            QTest.mouseMove(view, at(step))
            QTest.qWait(_MOVE_EVERY_MS)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=at(steps - 1))
        n_strokes += 1
    drawn_s = time.perf_counter() - started_s
    figures = probe.stop().as_dict()
    return EditorReport(platform, passage_s, drawn_s, n_strokes, len(rendered), figures)


@contextmanager
def own_folders(folder: str) -> Iterator[None]:
    """Folders of its own: nothing of an earlier run is there to be used again, nothing of the user's changes."""
    before = {name: os.environ.get(name) for name in _FOLDERS}
    os.environ |= dict.fromkeys(_FOLDERS, folder)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def any_display() -> Iterator[None]:
    """The display there is, else a private Xvfb; before Qt is imported."""
    trouble = display_trouble()
    if not trouble:
        yield
        return
    if shutil.which("Xvfb") is None:
        raise UserError(trouble, remedy="Install Xvfb, or run this on a display.")
    reader, writer = os.pipe()
    # Xvfb finds a free display by itself and writes its number.
    arguments = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(arguments, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        if not number:
            raise UserError("Xvfb did not start.", remedy="Try `Xvfb -displayfd 1` to see why.")
        os.environ["DISPLAY"] = f":{number}"
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        yield
    finally:
        server.terminate()
        server.wait()
