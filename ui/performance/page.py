"""The performance page: it asks the instrument at most thirty times a second, and only while it is shown."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from app.services import EngineReady, InstrumentLike, LiveMeter, MidiActivity, Recorded
from app.state.preset import Preset
from synth.spec import SAMPLE_RATE_HZ
from ui.actions import Actions
from ui.performance.controls_page import ControlsPage
from ui.performance.playing_bar import NO_INPUT, PlayingBar, take_time
from ui.performance.processes import GpuReader, ProcessReader
from ui.performance.profile_desk import ProfileDesk
from ui.performance.sound_analysis import SPECTRUM_SAMPLES, peak_db
from ui.performance.stage_page import StagePage
from ui.performance.voice_in import VoiceInCard
from ui.styled import styled
from ui.theme import Theme

PICTURE_MS = 34  # at most 30 pictures a second
_FIGURES_EVERY = 5
_PROCESSES_EVERY = 30
_PICTURE_SAMPLES = SAMPLE_RATE_HZ * PICTURE_MS // 1000


class PerformancePage(QWidget):
    """told(message, remedy, is_fault)    one line for the notice bar
    midi_chosen(name)    an input was chosen, NO_INPUT for none
    open_wanted(Path)    a take shall be opened
    """

    told = Signal(str, str, bool)
    midi_chosen = Signal(str)
    open_wanted = Signal(object)

    def __init__(
        self, instrument: InstrumentLike, theme: Theme, actions: Actions, *, profiles: Path | None = None
    ) -> None:
        """profiles   folder of controller profiles; None: the user's"""
        super().__init__()
        styled(self, "clear")
        self.setAccessibleName("Performance")
        self._instrument, self._actions, self._theme = instrument, actions, theme
        self.desk = ProfileDesk(instrument, profiles, self)
        self.bar = PlayingBar(theme, actions, self.desk, instrument.midi_inputs)
        self.stage, self.controls = StagePage(theme), ControlsPage(self.desk, theme)
        self._cpu, self._gpu = ProcessReader(), GpuReader()
        self._uses_gpu = False
        self.voice_in: VoiceInCard | None = None
        self._turn = 0
        self.n_pictures = 0
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.stage, "Meters")
        self.tabs.addTab(self.controls, "Controls")
        self.tabs.tabBar().setDrawBase(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self.tabs, 1)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.setInterval(PICTURE_MS)
        self._timer.timeout.connect(self.look)
        self.controls.told.connect(lambda message, remedy: self.told.emit(message, remedy, True))
        self.bar.midi_chosen.connect(self._choose_midi)
        self.bar.locked.connect(lambda is_on: instrument.lock_variation(0 if is_on else None))
        self.bar.open_wanted.connect(self.open_wanted)

    @property
    def takes_undo(self) -> bool:
        """Whether undo is about mappings now."""
        return self.isVisible() and self.tabs.currentWidget() is self.controls

    def look(self) -> None:
        """One picture."""
        if self.window().isMinimized():
            return
        meter = self._instrument.live_meter()
        self.n_pictures += 1
        if self.tabs.currentWidget() is self.stage:
            audio = self._instrument.live_audio(SPECTRUM_SAMPLES)
            # A window that has joined a performance hears it through the stream alone.
            live_db = peak_db(audio[-_PICTURE_SAMPLES:])
            left_db, right_db = self._instrument.level_db
            self.stage.show_sound(audio, (max(left_db, live_db), max(right_db, live_db)), meter)
        if self._turn % _FIGURES_EVERY == 0:
            self._show_figures(meter)
        if self._turn % _PROCESSES_EVERY == 0:
            self._show_processes()
        self._turn += 1

    def show_preset(self, preset: Preset) -> None:
        """What the next note sings."""
        self.bar.show_preset(preset.name)
        self.controls.use_preset(preset)

    def show_midi(self, name: str | None) -> None:
        """The chosen input."""
        self.bar.show_midi(name)

    def take_engine(self, event: EngineReady) -> None:
        """Where the model runs: a GPU is looked at only where it is used."""
        self._uses_gpu = "cpu" not in event.device.casefold()

    def take_activity(self, event: MidiActivity) -> None:
        """A control has moved."""
        if self.takes_undo:
            self.controls.take_activity(event)

    def set_recording(self, is_on: bool) -> None:
        """Begin or end a recording of what is played."""
        if is_on:
            self._instrument.start_recording()
        else:
            self._instrument.stop_recording()
        self.follow_recording()

    def follow_recording(self) -> None:
        """Show how far the recording is; the command follows where it could not begin."""
        self.bar.show_recording(self._instrument.recording())

    def take_recorded(self, event: Recorded) -> None:
        """A recording lies on disk."""
        self._actions["record"].setChecked(False)
        self.follow_recording()
        self.bar.show_take(event)
        message = f"Recorded {take_time(event.seconds)}: {Path(event.audio_path).name}."
        lost = f"{event.lost_frames} frames of it were lost. " if event.lost_frames else ""
        self.told.emit(message, f"{lost}{event.fault}".strip() or str(Path(event.audio_path).parent), bool(lost))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._offer_voice_in()
        self._turn = 0
        self.desk.look()
        self._timer.start()

    def _offer_voice_in(self) -> None:
        """Not before somebody looks: inputs are looked for by a process of their own."""
        voice_in = self._instrument.voice_in() if self.voice_in is None else None
        if voice_in is not None:
            self.voice_in = VoiceInCard(self._theme, voice_in)
            self.stage.add_card(self.voice_in)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def _show_figures(self, meter: LiveMeter | None) -> None:
        self.desk.look()
        self._offer_voice_in()  # one that has joined a performance hears of it only when that has answered
        self.bar.show_meter(meter)
        self.follow_recording()
        if self.tabs.currentWidget() is self.stage:
            self.stage.show_figures(meter)
            if self.voice_in is not None:
                self.voice_in.show_state()

    def _show_processes(self) -> None:
        if self._uses_gpu:
            self._gpu.ask()
        shares = self._cpu.read(self._instrument.live_processes())
        self.stage.show_processes(shares, self._gpu.share if self._uses_gpu else None)

    def _choose_midi(self, name: str) -> None:
        self._instrument.set_midi_input(None if name == NO_INPUT else name)
        self.desk.look()
        self.midi_chosen.emit(name)
