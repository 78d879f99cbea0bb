"""Hearing a preset as soon as it is marked: a short note through the live engine."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from app.services import InstrumentLike
from app.state.preset import Preset
from synth.spec import lane

NOTE_MS = 900
_VELOCITY = 96


class Audition(QObject):
    """Plays one note with a preset. What sounds first is the live engine's: notes of known presets lie ready there."""

    def __init__(self, instrument: InstrumentLike, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._instrument = instrument
        self._note: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(NOTE_MS)
        self._timer.timeout.connect(self.stop)

    def use(self, preset: Preset) -> None:
        """Let the keyboard sing with `preset`, without a note."""
        self._instrument.set_live_preset(preset)

    def play(self, preset: Preset) -> None:
        """One note at the preset's own pitch; the one before ends."""
        self.stop()
        self._instrument.set_live_preset(preset)
        self._note = preset.lane_defaults.get("pitch", lane("pitch").default)
        self._instrument.note_on(self._note, _VELOCITY)
        self._timer.start()

    def stop(self) -> None:
        """End the note that sounds."""
        self._timer.stop()
        if self._note is not None:
            self._instrument.note_off(self._note)
            self._note = None
