"""Hearing a preset as soon as it is marked: its preview, or where there is none yet, a note through the live engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from app.services import InstrumentLike, PreviewWish
from app.state.preset import Preset
from synth.spec import lane

NOTE_MS = 900
_VELOCITY = 96


class Audition(QObject):
    """Lets one preset be heard at a time. recording_of: where a preset's pack has put a recording of it, if it has."""

    def __init__(
        self,
        instrument: InstrumentLike,
        recording_of: Callable[[str], Path | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._instrument, self._recording_of = instrument, recording_of
        self._is_previewing = False
        self._note: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(NOTE_MS)
        self._timer.timeout.connect(self._end_note)

    def use(self, preset: Preset) -> None:
        """Let the keyboard sing with `preset`, without a note."""
        self._instrument.set_live_preset(preset)

    def prepare(self, presets: Sequence[Preset]) -> None:
        """These may be chosen next."""
        self._instrument.want_previews([PreviewWish(preset, self._recording_of(preset.id)) for preset in presets])

    def play(self, preset: Preset) -> None:
        """One note at the preset's own pitch; the one before ends. The keyboard sings with the preset from now on."""
        self._end_note()
        was_previewing = self._is_previewing
        self._is_previewing = self._instrument.preview(PreviewWish(preset, self._recording_of(preset.id)))
        self._instrument.set_live_preset(preset)
        if self._is_previewing:
            return
        if was_previewing:
            self._instrument.stop_preview()
        self._note = preset.lane_defaults.get("pitch", lane("pitch").default)
        self._instrument.note_on(self._note, _VELOCITY)
        self._timer.start()

    def stop(self) -> None:
        """End what sounds."""
        if self._is_previewing:
            self._is_previewing = False
            self._instrument.stop_preview()
        self._end_note()

    def _end_note(self) -> None:
        self._timer.stop()
        if self._note is not None:
            self._instrument.note_off(self._note)
            self._note = None
