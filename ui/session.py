"""Between the window and the instrument: polls events, sends renders, keeps the transport."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.services import (
    AudioChanged,
    ControlLearnt,
    DeviceLost,
    DevicesChanged,
    EngineFailed,
    EngineReady,
    Event,
    Exported,
    ExportFailed,
    ExportProgress,
    Extracted,
    ExtractFailed,
    InstrumentLike,
    LivePresetChanged,
    Measured,
    MidiActivity,
    Notice,
    Recorded,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
    RenderProgress,
    RenderStarted,
)
from synth.errors import UserError
from ui.canvas.context import Playhead
from ui.document import Document
from ui.measured import MeasuredCurves

POLL_INTERVAL_MS = 16
_SETTLE_MS = 60  # edits closer than this are one request
_AT_END_S = 0.02


class Session(QObject):
    """Every call of the instrument is made here, on the window's thread.

    told(message, remedy, details, is_fault)    one line for the notice bar
    """

    render_started = Signal()
    render_progressed = Signal(object)
    render_ended = Signal(str)
    engine_ready = Signal(object)
    engine_failed = Signal(str)
    audio_changed = Signal(float, float)
    playing_changed = Signal(bool)
    levels = Signal(float, float)
    under_runs = Signal(int)
    told = Signal(str, str, str, bool)
    export_progressed = Signal(object)
    exported = Signal(object)
    extracted = Signal(object)
    busy_elsewhere = Signal(str)
    devices_changed = Signal()
    midi_arrived = Signal(object)
    control_learnt = Signal(object)
    recorded = Signal(object)
    live_preset_changed = Signal(str)

    def __init__(
        self,
        instrument: InstrumentLike,
        document: Document,
        playhead: Playhead,
        measured: MeasuredCurves,
        *,
        quality: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.instrument = instrument
        self._document, self._playhead, self._measured = document, playhead, measured
        self._quality = quality
        self._request_id = -1
        self._was_playing = False
        self._started_s = 0.0
        self._told_under_runs = 0
        self._live_preset: object = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.render_now)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(POLL_INTERVAL_MS)
        self._timer.timeout.connect(self.poll)
        document.changed.connect(self._settle.start)
        document.changed.connect(self._follow_preset)
        document.voice_chosen.connect(self._follow_preset)
        document.replaced.connect(self._on_replaced)
        document.fault.connect(lambda message, remedy: self.told.emit(message, remedy, "", True))
        playhead.seek_requested.connect(self.seek)
        playhead.loop_changed.connect(self._on_loop)

    @property
    def quality(self) -> str:
        return self._quality

    @property
    def is_playing(self) -> bool:
        return self._was_playing

    def start(self) -> None:
        """Begin polling and render what is open."""
        self._timer.start()
        self._follow_preset()
        self.render_now()

    def stop(self) -> None:
        """End polling; before the window closes."""
        self._timer.stop()
        self._settle.stop()

    def set_quality(self, quality: str) -> None:
        """Render with another quality from now on."""
        if quality != self._quality:
            self._quality = quality
            self.render_now()

    def render_now(self) -> None:
        """Ask for the passage as it stands; replaces an older request."""
        self._settle.stop()
        try:
            self._request_id = self.instrument.render(
                self._document.passage, quality=self._quality, playhead_s=self._playhead.position_s
            )
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)

    def cancel(self) -> None:
        """Call the render off."""
        self.instrument.cancel()

    def toggle_play(self) -> None:
        """Play or pause."""
        if self._was_playing:
            self.instrument.pause()
            self._show_playing(False)
        else:
            self._play_from(self._playhead.position_s)

    def stop_playing(self) -> None:
        """Stop; back to where playing began, from there to the beginning."""
        if self._was_playing:
            self.instrument.pause()
            self._show_playing(False)
            self._playhead.show_position(self._started_s)
        else:
            self._playhead.show_position(0.0)

    def seek(self, t_s: float) -> None:
        """Go on from another place."""
        t_s = min(max(t_s, 0.0), self._document.passage.duration_s)
        if self._was_playing:
            self._play_from(t_s)
        else:
            self._playhead.show_position(t_s)

    def poll(self) -> None:
        """One turn: events, playhead, levels."""
        for event in self.instrument.poll():
            self._on_event(event)
        is_playing = self.instrument.is_playing
        if is_playing:
            self._playhead.show_position(self.instrument.playhead_s)
        if is_playing != self._was_playing:
            self._show_playing(is_playing)
        self.levels.emit(*self.instrument.level_db)
        under_runs = self.instrument.under_runs
        if under_runs != self._told_under_runs:
            self._told_under_runs = under_runs
            self.under_runs.emit(under_runs)

    def _play_from(self, t_s: float) -> None:
        loop = self._playhead.loop
        if loop is not None and not loop[0] <= t_s < loop[1]:
            t_s = loop[0]
        elif t_s >= self._document.passage.duration_s - _AT_END_S:
            t_s = 0.0
        self._started_s = t_s
        self._playhead.show_position(t_s)
        self.instrument.play(t_s, loop)
        self._show_playing(True)

    def _show_playing(self, is_playing: bool) -> None:
        self._was_playing = is_playing
        self.playing_changed.emit(is_playing)

    def _on_loop(self) -> None:
        if self._was_playing:
            self._play_from(self._playhead.position_s)

    def _on_replaced(self) -> None:
        self._measured.clear()
        self._playhead.set_loop(None)
        if self._was_playing:
            self.instrument.pause()
            self._show_playing(False)
        self._playhead.show_position(0.0)

    def follow_presets(self) -> None:
        """Presets may have changed on disk: let the keyboard and the render sing with them as they are now."""
        if self._document.preset != self._live_preset:
            self._follow_preset()
            self.render_now()

    def _follow_preset(self) -> None:
        preset = self._document.preset
        if preset != self._live_preset:
            self._live_preset = preset
            self.instrument.set_live_preset(preset)

    def _on_event(self, event: Event) -> None:
        match event:
            case EngineReady():
                self.engine_ready.emit(event)
            case EngineFailed():
                self.engine_failed.emit(event.message)
                self.told.emit(event.message, event.remedy, "", True)
            case RenderStarted():
                self.render_started.emit()
            case RenderProgress():
                self.render_progressed.emit(event)
            case AudioChanged():
                self.audio_changed.emit(event.start_s, event.end_s)
            case RenderFinished():
                self._end_render(
                    event.request_id,
                    f"Ready · {event.report.realtime_factor:.0f}× real time"
                    if event.report.realtime_factor
                    else "Ready",
                )
            case RenderCancelled():
                self._end_render(event.request_id, "Cancelled")
            case RenderFailed():
                self._end_render(event.request_id, "Failed")
                self.told.emit(event.message, event.remedy, event.details, True)
            case Measured():
                self._measured.take(event)
            case ExportProgress():
                self.export_progressed.emit(event)
            case Exported():
                self.exported.emit(event)
            case Extracted():
                self.extracted.emit(event)
            case ExportFailed() | ExtractFailed():
                self.busy_elsewhere.emit("")
                self.told.emit(event.message, event.remedy, "", True)
            case DeviceLost():
                self.told.emit(event.message, "Choose another output in Preferences.", "", True)
                self.devices_changed.emit()
            case DevicesChanged():
                self.devices_changed.emit()
            case MidiActivity():
                self.midi_arrived.emit(event)
            case ControlLearnt():
                self.control_learnt.emit(event)
            case Recorded():
                self.recorded.emit(event)
            case LivePresetChanged():
                self.live_preset_changed.emit(event.preset_id)
            case Notice():
                self.told.emit(event.message, event.remedy, "", False)

    def _end_render(self, request_id: int, state: str) -> None:
        if request_id >= self._request_id:  # a replaced request's end is no news
            self.render_ended.emit(state)
