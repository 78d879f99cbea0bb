"""Make the pictures of the window in docs/images: `python -m tests.e2e.make_pictures`.

Opens the demo passage in the window on a private display and sound server, with the model that is shipped, waits until
it has been rendered and measured, and takes a picture in each theme.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import REPOSITORY
from tests.e2e.desktop import XDisplay
from tests.jack_session import JackSession

if TYPE_CHECKING:
    from app.services.instrument import Instrument
    from ui.window import MainWindow

_PATIENCE_S = 600.0
_QUIET_S = 3.0  # nothing more has come for so long: it is all there
_PICTURES = {"dark": "window.png", "light": "window-light.png"}
_PLAYHEAD_S = 7.4


def main() -> int:
    with JackSession(), XDisplay() as display, tempfile.TemporaryDirectory() as home:
        os.environ |= {"DISPLAY": display.name, "QT_QPA_PLATFORM": "xcb"}
        os.environ |= {f"XDG_{kind}_HOME": home for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        _take(REPOSITORY / "docs" / "images")
    return 0


def _take(folder: Path) -> None:
    from PySide6.QtGui import QImage

    from app.commands.instrument import make_instrument
    from app.store.passages import load_passage
    from app.store.presets import DEMO_FOLDER
    from app.store.settings import Settings
    from ui.application import FIRST_PASSAGE, build_window, make_application
    from ui.theme import ThemeChoice

    make_application()
    instrument = make_instrument(device="cpu")
    window = build_window(instrument, Settings(theme="dark"), save=lambda _: None)
    instrument.start()
    try:
        window.resize(1440, 900)
        window.show()
        window.document.open(load_passage(DEMO_FOLDER / FIRST_PASSAGE), None)
        window.session.start()
        _wait_until_measured(window, instrument)
        window.context.playhead.show_position(_PLAYHEAD_S)
        for theme, name in _PICTURES.items():
            window.context.theme.choose(ThemeChoice(theme))
            _run_window(window, 1.0)
            picture = window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
            picture.save(str(folder / name), quality=0)  # for PNG: smallest file
            sys.stdout.write(f"{folder / name}\n")
    finally:
        window.session.stop()
        instrument.close()
        window.close()


def _wait_until_measured(window: MainWindow, instrument: Instrument) -> None:
    """Until the render has finished and no measurement or picture of it is outstanding. Raises TimeoutError."""
    ended: list[str] = []
    last_news_s = [time.monotonic()]

    def note_news() -> None:
        last_news_s[0] = time.monotonic()

    window.session.render_ended.connect(ended.append)
    window.context.measured.changed.connect(note_news)
    window.context.measured.stretch_changed.connect(lambda _start_s, _end_s: note_news())
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        _run_window(window, 0.05)
        if window.timeline.spectrogram.is_busy:
            note_news()
        is_measured = bool(ended) and window.context.measured.curve(0, "pitch") is not None
        if is_measured and time.monotonic() - last_news_s[0] > _QUIET_S:
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not rendered and measured: {ended}")


def _run_window(window: MainWindow, seconds: float) -> None:
    from PySide6.QtTest import QTest

    QTest.qWait(round(1000 * seconds))


if __name__ == "__main__":
    sys.exit(main())
