"""Make the picture of the performance page in docs/images: `python -m tests.e2e.make_performance_picture`.

Opens the window on a private display and sound server, with the model that is shipped, plays chords on it for a while,
and takes a picture while the last one sounds. Every figure in it is what the meter said at that moment.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

from tests.conftest import REPOSITORY
from tests.e2e.desktop import XDisplay
from tests.jack_session import JackSession

_PATIENCE_S = 600.0
_ENOUGH_ONSETS = 150
_PRESET = "blues_rasp"
_CHORDS = ((57.0,), (55.0,), (59.0,), (57.0, 60.0))
_HELD_S, _APART_S = 1.6, 0.3
_PERIOD_FRAMES = 128


def main() -> int:
    with JackSession(period_frames=_PERIOD_FRAMES), XDisplay() as display, tempfile.TemporaryDirectory() as home:
        os.environ |= {"DISPLAY": display.name, "QT_QPA_PLATFORM": "xcb"}
        os.environ |= {f"XDG_{kind}_HOME": home for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        _take()
    return 0


def _take() -> None:
    from PySide6.QtGui import QImage
    from PySide6.QtTest import QTest

    from app.commands.instrument import make_instrument
    from app.store.presets import load_preset
    from app.store.settings import Settings
    from ui.application import build_window, make_application

    make_application()
    instrument = make_instrument(device="cpu", joins=False)
    window = build_window(instrument, Settings(theme="dark"), save=lambda _: None)
    path = REPOSITORY / "docs" / "images" / "performance.png"
    instrument.start()
    try:
        window.resize(1440, 900)
        window.show()
        window.document.set_preset(load_preset(_PRESET).id)
        window.session.start()
        window.actions_table["performance"].trigger()
        _until_ready(window)
        for chord in _CHORDS:
            for note in chord:
                instrument.note_on(note, 90)
            QTest.qWait(round(1000 * _HELD_S))
            if chord is _CHORDS[-1]:
                picture = window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
                picture.save(str(path), quality=0)  # for PNG: smallest file
            for note in chord:
                instrument.note_off(note)
            QTest.qWait(round(1000 * _APART_S))
        sys.stdout.write(f"{path}\n{instrument.live_meter()}\n")
    finally:
        window.session.stop()
        instrument.close()
        window.document.history.mark_saved()
        window.close()


def _until_ready(window: object) -> None:
    """Until the engine plays and the preset's middle onsets have been made. Raises TimeoutError."""
    from PySide6.QtTest import QTest

    from ui.window import MainWindow

    assert isinstance(window, MainWindow)
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        QTest.qWait(200)
        meter = window.parts.instrument.live_meter()
        if meter is not None and meter.state == "playing" and meter.preset_made >= _ENOUGH_ONSETS:
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not ready: {meter}")


if __name__ == "__main__":
    sys.exit(main())
