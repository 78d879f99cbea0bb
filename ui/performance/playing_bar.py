"""The bar above the page: how it goes, what is played with, how keys are taken, and the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout

from app.services import LiveMeter, Recorded, RecordingState
from app.state.controller_profile import GLIDES, PLAYING
from ui.actions import Actions
from ui.performance.mapping_fields import CalmChooser, CalmSpin
from ui.performance.profile_desk import ProfileDesk
from ui.styled import label, styled
from ui.theme import Theme, with_alpha

NO_INPUT = ""
_NO_INPUT_TITLE = "No MIDI input"
_PLAYING_WORDS = {"poly": "Poly", "mono": "Mono", "legato": "Legato"}
_GLIDE_WORDS = {"off": "No glide", "time": "Glide: time", "rate": "Glide: rate", "approach": "Glide: approach"}
_STATES = {
    "playing": ("Playing", "good"),
    "starting": ("Starting", "warning"),
    "no sampler": ("Sampler is starting again", "warning"),
    "no performer": ("Playing is starting again", "warning"),
    "no device": ("No sound device: reconnecting", "danger"),
    "no server": ("Sound server is starting", "danger"),
    "gone": ("No sound: restart Stridor", "danger"),
    "off": ("Off", "danger"),
}


def take_time(seconds: float) -> str:
    """Length of a recording: 75.4 -> '1:15'."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


class StatePill(QLabel):
    """One word on how live playing goes."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._state = ""
        self.setFixedHeight(22)
        self.setToolTip("How live playing goes")
        theme.changed.connect(lambda: self._show(self._state))
        self._show("")

    def show_meter(self, meter: LiveMeter | None) -> None:
        """Its state, or that there is none."""
        state = "none" if meter is None else meter.condition
        if state != self._state:
            self._show(state)

    def _show(self, state: str) -> None:
        self._state = state
        words, tone = _STATES.get(state, ("No live engine", "text_faint"))
        colour = getattr(self._theme.colours, tone)
        ground = with_alpha(colour, 0.16)
        rgba = f"rgba({ground.red()}, {ground.green()}, {ground.blue()}, {ground.alpha()})"
        self.setStyleSheet(
            f"color: {colour}; background: {rgba}; border-radius: 9px; padding: 2px 10px; font-weight: 600;"
        )
        self.setText(words)
        self.setAccessibleName(f"Live playing: {words}")


class PlayingBar(QFrame):
    """midi_chosen(name)    the user has chosen an input, NO_INPUT for none
    locked(is_locked)    repeated notes shall always begin alike, or not
    open_wanted(Path)    the last take shall be opened as a passage
    """

    midi_chosen = Signal(str)
    locked = Signal(bool)
    open_wanted = Signal(object)

    def __init__(
        self, theme: Theme, actions: Actions, desk: ProfileDesk, midi_inputs: Callable[[], Sequence[str]]
    ) -> None:
        super().__init__()
        styled(self, "bar")
        self._desk = desk
        self._take: Path | None = None
        self.state = StatePill(theme)
        self.preset = label("", "title")
        self.preset.setMaximumWidth(220)
        inputs = lambda: [(NO_INPUT, _NO_INPUT_TITLE), *((name, name) for name in midi_inputs())]  # noqa: E731
        self.midi = CalmChooser("MIDI input", inputs)
        self.midi.setToolTip("The controller that plays")
        self.midi.setMinimumWidth(150)
        self.midi.picked.connect(self.midi_chosen)
        self.playing = CalmChooser("How keys are taken", lambda: [(name, _PLAYING_WORDS[name]) for name in PLAYING])
        self.playing.setToolTip("Poly, mono, or legato: overlapping keys move the pitch without a new onset")
        self.playing.picked.connect(self._set_playing)
        self.glide = CalmChooser("Glide", lambda: [(name, _GLIDE_WORDS[name]) for name in GLIDES])
        self.glide.setToolTip("Portamento: every interval in the same time, at the same speed, or approaching")
        self.glide.picked.connect(self._set_glide)
        self.glide_ms = CalmSpin("Glide time", low=0.0, high=10_000.0, decimals=0, step=10.0, suffix=" ms")
        self.glide_ms.setToolTip("Duration of a glide, or its time constant")
        self.glide_ms.entered.connect(self._set_glide_time)
        self.lock = styled(QToolButton(), "group")
        self.lock.setText("Lock variation")
        self.lock.setCheckable(True)
        self.lock.setToolTip("Repeated notes begin alike. Off: they go round the variations of their onset")
        self.lock.toggled.connect(self.locked)
        self.time = label("", "title")
        self.time.setAccessibleName("Time recorded")
        self.open_take = QPushButton("Open Take")
        self.open_take.setToolTip("Open what was played as a passage")
        self.open_take.clicked.connect(lambda: self.open_wanted.emit(self._take))
        self.open_take.hide()
        self.record = _word_button(actions["record"], "Record")
        self.panic = _word_button(actions["panic"], "Panic")
        self.panic.setObjectName("panic")
        self._arrange()
        desk.changed.connect(self.refresh)
        self.refresh()

    @property
    def take(self) -> Path | None:
        """The passage of the last recording."""
        return self._take

    def show_midi(self, name: str | None) -> None:
        """The chosen input."""
        self.midi.show_choice(name or NO_INPUT, name or _NO_INPUT_TITLE)

    def show_meter(self, meter: LiveMeter | None) -> None:
        """How it goes."""
        self.state.show_meter(meter)

    def show_preset(self, name: str) -> None:
        """What the next note sings."""
        self.preset.setText(self.preset.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, 216))
        self.preset.setToolTip(f"The next note sings {name}")

    def show_recording(self, recording: RecordingState | None) -> None:
        """The time, while there is a recording."""
        text = "" if recording is None else take_time(recording.seconds)
        if recording is not None and (recording.fault or recording.lost_frames):
            text += " !"
            self.time.setToolTip(recording.fault or f"{recording.lost_frames} frames were lost")
        if text != self.time.text():
            self.time.setText(text)

    def show_take(self, recorded: Recorded) -> None:
        """A recording lies on disk."""
        self._take = Path(recorded.passage_path) if recorded.passage_path else None
        self.open_take.setVisible(self._take is not None)

    def refresh(self) -> None:
        """Show the profile as it is."""
        profile = self._desk.profile
        for widget in (self.playing, self.glide, self.glide_ms):
            widget.setEnabled(profile is not None)
        if profile is None:
            return
        self.playing.show_choice(profile.playing, _PLAYING_WORDS[profile.playing])
        self.glide.show_choice(profile.glide, _GLIDE_WORDS[profile.glide])
        is_rate = profile.glide == "rate"
        self.glide_ms.setVisible(profile.glide != "off")
        self.glide_ms.setSuffix(" st/s" if is_rate else " ms")
        self.glide_ms.show_value(profile.glide_semitones_per_s if is_rate else 1000.0 * profile.glide_s)

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(10)
        for widget in (self.state, self.preset):
            first.addWidget(widget)
        first.addStretch(1)
        for widget in (self.open_take, self.time, self.record, self.panic):
            first.addWidget(widget)
        second = QHBoxLayout()
        second.setSpacing(8)
        for widget in (self.midi, self.playing, self.glide, self.glide_ms, self.lock):
            second.addWidget(widget)
        second.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 16, 10)
        column.setSpacing(8)
        column.addLayout(first)
        column.addLayout(second)

    def _set_playing(self, name: str) -> None:
        self._desk.change(_PLAYING_WORDS[name], lambda profile: replace(profile, playing=name))

    def _set_glide(self, name: str) -> None:
        self._desk.change(_GLIDE_WORDS[name], lambda profile: replace(profile, glide=name))

    def _set_glide_time(self, value: float) -> None:
        profile = self._desk.profile
        key = "glide_semitones_per_s" if profile is not None and profile.glide == "rate" else "glide_s"
        amount = max(value, 0.1) if key != "glide_s" else value / 1000.0
        self._desk.change("Glide", lambda profile: replace(profile, **{key: amount}))


def _word_button(action: QAction, words: str) -> QToolButton:
    """A command with icon and word; its shortcut is shown beside it."""
    button = styled(QToolButton(), "group")
    button.setDefaultAction(action)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    keys = action.shortcut().toString()
    button.setText(f"{words}  {keys}" if keys else words)
    button.setAccessibleName(words)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setMinimumHeight(30)
    return button
