"""What a new user tries first works at once: draw a pitch, or bring a MIDI file, and there is a voice.

The window and the instrument are the real ones, with the sampler in its process and the model that is shipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.commands.instrument import make_instrument
from app.services import EngineFailed, Event, Measured, RenderFailed, RenderFinished
from app.services.instrument import Instrument
from app.state.passage import Passage
from app.store.recovery import RecoveryFile
from app.store.settings import Settings
from synth.spec import SAMPLE_RATE_HZ
from tests.conftest import REPOSITORY
from tests.ui.gestures import drag
from ui.application import build_window, make_application
from ui.window import MainWindow

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(600)]

MIDI_FILE = REPOSITORY / "tests" / "fixtures" / "midi" / "dies_irae.mid"
PATIENCE_S = 240.0
MIDI_HEARD_S = 4.0


@pytest.fixture(scope="module")
def qapp() -> QApplication:
    return make_application()


class User:
    """Somebody at a window, and everything the instrument has said to it."""

    def __init__(self, window: MainWindow, instrument: Instrument, qtbot: QtBot) -> None:
        self.window, self.instrument = window, instrument
        self.events: list[Event] = []
        self._qtbot = qtbot
        poll = instrument.poll

        def heard() -> list[Event]:
            events = poll()
            self.events.extend(events)
            return events

        instrument.poll = heard

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """While the window runs. Fails when the instrument says that something failed."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            failed = [event for event in self.events if isinstance(event, EngineFailed | RenderFailed)]
            assert not failed, failed
            assert time.monotonic() < deadline_s, self.events
            self._qtbot.wait(20)

    def all(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def level_db(self, start_s: float, end_s: float) -> float:
        """Of what has been rendered, as power."""
        heard = self.instrument.audio()[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
        return 10.0 * float(np.log10(np.mean(np.square(heard, dtype=np.float64)) + 1e-12))


@pytest.fixture
def user(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[User]:
    """At the window as it is after "New"."""
    instrument = make_instrument(device="cpu")
    recovery = RecoveryFile(tmp_path / "recovery")
    window = build_window(instrument, Settings(theme="dark"), save=lambda _: None, recovery=recovery)
    user = User(window, instrument, qtbot)
    instrument.start()
    try:
        window.show()
        qtbot.waitExposed(window)
        window.document.open(Passage(3.2), None)
        window.session.start()
        user.wait_for(lambda: bool(user.all(RenderFinished)))
        yield user
    finally:
        window.session.stop()
        instrument.close()
        window.document.history.mark_saved()
        window.close()
        window.deleteLater()
        qapp.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_a_drawn_pitch_is_a_voice(user: User) -> None:
    assert user.level_db(0.0, 3.2) < -100.0
    user.events.clear()
    drag(user.window.timeline.roll, [(0.8, 50.0), (1.2, 53.0), (1.8, 55.0), (2.2, 52.0)])
    user.wait_for(lambda: bool(user.all(RenderFinished)) and bool(user.all(Measured)))
    sung_db = user.level_db(0.9, 2.1)
    assert sung_db > -45.0
    assert user.level_db(0.0, 0.7) < sung_db - 50.0
    assert user.level_db(2.7, 3.2) < sung_db - 50.0
    assert user.window.context.measured.curve(0, "pitch") is not None


def test_a_midi_file_is_sung(user: User) -> None:
    user.events.clear()
    assert user.window.files.open_file(MIDI_FILE)
    voice = user.window.document.voice
    assert len(voice.notes) > 10
    heard_s = voice.notes[0].start_s + MIDI_HEARD_S

    def is_sung_so_far() -> bool:
        """The cells near the playhead come first: nobody waits for the end of a long piece."""
        audio = user.instrument.audio()
        return len(audio) > heard_s * SAMPLE_RATE_HZ and all(
            user.level_db(note.start_s + 0.1 * note.duration_s, note.start_s + 0.9 * note.duration_s) > -60.0
            for note in voice.notes
            if note.end_s < heard_s
        )

    user.wait_for(is_sung_so_far)
    assert [note for note in voice.notes if note.end_s < heard_s]
    user.instrument.cancel()
