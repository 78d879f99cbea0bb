"""A window with the performance page and an instrument without devices, for tests that press real keys.

Prints what happens, a word a line: `ready`, `page`, `hidden`, `dialog`, `panic`, `recording`. Ends when its input does.
"""

from __future__ import annotations

import sys
import threading

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QApplication

from app.state.passage import Passage
from app.store.settings import Settings
from tests.ui.fake_instrument import FakeInstrument
from ui.application import build_window, make_application

_LOOK_MS = 20


class Telling(FakeInstrument):
    """Says what it is asked."""

    def panic(self) -> None:
        say("panic")

    def start_recording(self, path: object = None) -> None:
        super().start_recording()
        say("recording")


class Asked(QObject):
    """Lines of standard input, from the thread that reads them."""

    line = Signal(str)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _read(asked: Asked) -> None:
    for line in sys.stdin:
        asked.line.emit(line.strip())
    asked.line.emit("")


def main() -> int:
    application = make_application()
    window = build_window(Telling(), Settings(theme="dark"), Passage(2.0), presets=(), save=lambda _: None)
    shown = [""]

    def look() -> None:
        now = "page" if window.performance.isVisible() else "hidden"
        if now != shown[0]:
            shown[0] = now
            say(now)

    def obey(line: str) -> None:
        if line == "dialog":
            window.show_preferences()
            QTimer.singleShot(500, lambda: say("dialog"))
        else:
            QApplication.quit()

    asked = Asked()
    asked.line.connect(obey)
    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(_LOOK_MS)
    window.show()
    QTimer.singleShot(500, lambda: say("ready"))
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
