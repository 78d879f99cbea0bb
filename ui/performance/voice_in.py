"""The voice that is listened to: which input, how sensitively, its level, and what is heard in it.

One card, whole in itself: it asks `voice_in` and nobody else. Its page calls `show_state()` as often as it draws.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from PySide6.QtWidgets import QGridLayout

from app.services.voice_in import LEAST_SENSITIVITY_DB, MOST_SENSITIVITY_DB, VoiceInLike
from ui.formats import note_name
from ui.performance.cards import Bar, Card, Value
from ui.performance.figures import Figure, Tone
from ui.performance.mapping_fields import CalmChooser, CalmSpin
from ui.styled import label
from ui.theme import Theme

if TYPE_CHECKING:
    from app.live.voice_in.ring import VoiceInState

_OFF: Final = "off"
_OFF_WORDS: Final = "Nobody"
_FLOOR_DB: Final = -70.0
_LOUD_DB: Final = -6.0  # RMS: peaks are at full scale then
_NOTHING: Final = Figure("-", Tone.FAINT)
_MINUS: Final = "\N{MINUS SIGN}"


class VoiceInCard(Card):
    """Choosing an input opens it, "Nobody" closes it; nothing that is heard is kept."""

    def __init__(self, theme: Theme, voice_in: VoiceInLike) -> None:
        super().__init__("Voice in")
        self._voice_in = voice_in
        self.input = CalmChooser("Voice input", self._choices)
        self.sensitivity = CalmSpin(
            "Sensitivity", low=LEAST_SENSITIVITY_DB, high=MOST_SENSITIVITY_DB, decimals=0, step=1.0, suffix=" dB"
        )
        self.level = Bar(theme, width_px=None)
        self.level.setAccessibleName("Level of the voice input")
        self.heard = Value(theme, "Heard")
        self.state = Value(theme, "Listening")
        self._clipped = 0
        self._arrange()
        self.input.picked.connect(self._choose)
        self.sensitivity.entered.connect(voice_in.set_sensitivity)
        voice_in.look()
        self.show_state()

    def show_state(self) -> None:
        """Show how it goes now."""
        state = self._voice_in.state()
        chosen = self._voice_in.chosen
        self.input.show_choice(chosen or _OFF, self._title(chosen))
        self.sensitivity.show_value(self._voice_in.sensitivity_db)
        clips, self._clipped = state.clipped > self._clipped, state.clipped
        tone = Tone.DANGER if clips else Tone.WARNING if state.level_db > _LOUD_DB else Tone.GOOD
        share = min(max(1.0 - state.level_db / _FLOOR_DB, 0.0), 1.0) if state.state == "listening" else None
        self.level.show_figure(Figure("", tone, share))
        self.heard.show_figure(heard_figure(state))
        self.state.show_figure(state_figure(state))

    def _arrange(self) -> None:
        self.input.setToolTip("Follow this microphone. Wear headphones: through loudspeakers the voice hears itself")
        self.sensitivity.setToolTip("Hear so many decibels more quietly, and take it for so much louder")
        self.level.setToolTip("Level of the input; red: it clips")
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        fields = (("Listen to", self.input), ("Sensitivity", self.sensitivity))
        for column, (title, field) in enumerate(fields):
            grid.addWidget(label(title, "dim"), 0, column)
            grid.addWidget(field, 1, column)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.level, 2, 0, 1, 2)
        grid.addWidget(self.heard, 3, 0)
        grid.addWidget(self.state, 3, 1)
        self.column.addLayout(grid)

    def _choices(self) -> list[tuple[str, str]]:
        self._voice_in.look()  # what has been plugged in is there when the list is opened again
        return [(_OFF, _OFF_WORDS), *((device.id, device.name) for device in self._voice_in.inputs())]

    def _choose(self, device_id: str) -> None:
        self._voice_in.choose(None if device_id == _OFF else device_id)

    def _title(self, chosen: str | None) -> str:
        if chosen is None:
            return _OFF_WORDS
        return next((device.name for device in self._voice_in.inputs() if device.id == chosen), chosen)


def heard_figure(state: VoiceInState) -> Figure:
    """The note and the technique that are heard, or that nobody is."""
    if state.state != "listening" or not state.is_present:
        return _NOTHING
    note = "no pitch" if math.isnan(state.note) else note_name(round(state.note))
    return Figure(f"{note}, {state.technique}" if state.technique else note)


def state_figure(state: VoiceInState) -> Figure:
    """Whether somebody listens, how late the input is, and what is wrong with it."""
    if state.state == "waiting":
        return Figure("waiting for it", Tone.WARNING)
    if state.state != "listening":
        return Figure("off", Tone.FAINT)
    level = f"{state.level_db:.0f} dB".replace("-", _MINUS)
    return Figure(f"{level}, {state.input_ms:.0f} ms late")
