"""The window: assembles the parts and connects them. No logic of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QMainWindow,
    QMessageBox,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.services import Exported, InstrumentLike
from app.services.adapting import AdaptingLike
from app.state.capture import capture
from app.store.recovery import RecoveryFile
from ui.actions import Actions
from ui.adapting.wiring import AdaptingDoor, dropped_recordings
from ui.canvas.context import CanvasContext
from ui.canvas.timeline import Timeline
from ui.commands import connect_commands
from ui.icons import app_icon
from ui.menus import Menus
from ui.panels.files import AUDIO_SUFFIXES, MIDI_SUFFIXES, FileDesk
from ui.panels.keyboard import OnScreenKeyboard
from ui.panels.notice import NoticeBar
from ui.panels.preferences import PreferencesDialog, ShortcutsDialog
from ui.panels.presets import PresetPanel
from ui.panels.status import StatusLine
from ui.panels.transport import TransportBar, engine_label
from ui.panels.voices import VoicePanel
from ui.performance.page import PerformancePage
from ui.performance.panic_key import PanicKey
from ui.performance.wiring import connect_performance
from ui.preferences_store import PreferencesStore
from ui.presets.audition import Audition
from ui.presets.desk_menu import DROPPABLE as DROPPABLE_PRESETS
from ui.presets.shelf import PresetShelf
from ui.session import Session
from ui.styled import styled

SIDE_WIDTH_PX = 272
_DROPPABLE = MIDI_SUFFIXES | AUDIO_SUFFIXES | DROPPABLE_PRESETS | {".stridor"}


@dataclass(frozen=True, slots=True)
class WindowParts:
    """What the window is made of; built in ui/application.py."""

    instrument: InstrumentLike
    context: CanvasContext
    session: Session
    store: PreferencesStore
    presets: PresetShelf
    recovery: RecoveryFile
    adapting: AdaptingLike


class MainWindow(QMainWindow):
    """One passage, one instrument."""

    def __init__(self, parts: WindowParts) -> None:
        super().__init__()
        self.parts = parts
        self.context, self.session, self.document = parts.context, parts.session, parts.context.document
        self.follows = True
        theme = parts.context.theme
        self.actions_table = Actions(theme, self)
        self.transport = TransportBar(self.actions_table, theme)
        self.notice = NoticeBar(theme)
        self.timeline = Timeline(parts.context)
        self.performance = PerformancePage(parts.instrument, theme, self.actions_table)
        self.middle = QStackedWidget()
        self.panic_key: PanicKey | None = None
        self.preset_panel = PresetPanel(theme, parts.presets)
        self.audition = Audition(parts.instrument, parts.presets.recording_of, self)
        self.voice_panel = VoicePanel(self.document, self.actions_table["new_take"])
        self.keyboard = OnScreenKeyboard(theme)
        self.status = StatusLine()
        self.files = FileDesk(self.document, self.session, parts.store, self, recovery=parts.recovery)
        self.side = self._build_side()
        self._arrange()
        self.menus = Menus(
            self,
            self.actions_table,
            self.timeline.stack,
            recent_files=lambda: parts.store.settings.recent_files,
            open_recent=self.open_recent,
        )
        self.timeline.lanes_button.setMenu(self.menus.lanes)
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(900, 600)
        self.resize(1440, 900)
        self._connect_session()
        self._connect_document()
        connect_commands(self)
        connect_performance(self)
        self.adapting = AdaptingDoor(self)
        theme.changed.connect(self._apply_theme)
        self._apply_theme()
        self._restore()
        self.transport.show_quality(self.session.quality)
        self._show_title()
        self._show_voice()

    def open_recent(self, path: Path) -> None:
        """Open a file of the recent list."""
        if self.files.may_leave():
            self.files.open_file(path)

    def show_preferences(self) -> None:
        """The preferences dialog."""
        dialog = PreferencesDialog(self.parts.instrument, self.parts.store, self.context.theme, self)
        self.session.devices_changed.connect(dialog.refresh)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def show_shortcuts(self) -> None:
        """The table of shortcuts."""
        ShortcutsDialog(self).open()

    def show_about(self) -> None:
        """What this is."""
        QMessageBox.about(
            self,
            "About Stridor",
            "<b>Stridor</b><br>An instrument for extended vocal techniques.<br><br>"
            "The voice is made by a conditioned diffusion model from the curves you draw.",
        )

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.files.may_leave() or not self.adapting.may_leave():
            event.ignore()
            return
        self.adapting.close()
        self.session.stop()
        self.audition.stop()
        self.keyboard.release_all()
        self.timeline.spectrogram.finish()
        self.files.stop()
        geometry, state = self.saveGeometry().toBase64(), self.saveState().toBase64()
        self.parts.store.change(
            replace(
                self.parts.store.settings,
                window_geometry=bytes(geometry.data()).decode(),
                window_state=bytes(state.data()).decode(),
            )
        )
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped_file(event) is not None or dropped_recordings(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path, recordings = _dropped_file(event), dropped_recordings(event.mimeData())
        if recordings:
            event.acceptProposedAction()
            self.adapting.open(recordings)
        elif path is not None:
            event.acceptProposedAction()
            if path.suffix.lower() in DROPPABLE_PRESETS:
                self.preset_panel.take_file(path)
            elif self.files.may_leave():
                self.files.open_file(path)

    def _build_side(self) -> QWidget:
        side = styled(QFrame(), "side")
        tabs = QTabWidget()
        tabs.setDocumentMode(True)
        tabs.addTab(self.preset_panel, "Presets")
        tabs.addTab(self.voice_panel, "Voices")
        tabs.tabBar().setDrawBase(False)
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(tabs)
        side.setMinimumWidth(200)
        return side

    def _arrange(self) -> None:
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setHandleWidth(1)
        self.middle.addWidget(self.timeline)
        self.middle.addWidget(self.performance)
        self._splitter.addWidget(self.middle)
        self._splitter.addWidget(self.side)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        self._splitter.setCollapsible(0, False)
        self._splitter.setSizes([1440 - SIDE_WIDTH_PX, SIDE_WIDTH_PX])
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget in (self.transport, self.notice):
            column.addWidget(widget)
        column.addWidget(self._splitter, 1)
        column.addWidget(self.keyboard)
        column.addWidget(self.status)
        self.keyboard.hide()
        self.setCentralWidget(centre)

    def _connect_session(self) -> None:
        session = self.session
        session.told.connect(self.notice.tell)
        self.files.told.connect(self.notice.tell)
        self.parts.store.failed.connect(lambda message, remedy: self.notice.tell(message, remedy, "", True))
        session.render_started.connect(self.status.show_started)
        session.render_progressed.connect(self.status.show_progress)
        session.render_ended.connect(self.status.show_ended)
        session.engine_ready.connect(lambda event: self.status.show_engine(engine_label(event)))
        session.engine_failed.connect(lambda _message: self.status.show_ended("No model"))
        session.export_progressed.connect(self.status.show_export)
        session.exported.connect(self._on_exported)
        session.busy_elsewhere.connect(self.status.show_other)
        session.audio_changed.connect(
            lambda start_s, end_s: self.timeline.show_audio(self.parts.instrument.audio(), start_s, end_s)
        )
        session.levels.connect(self.transport.meter.show_levels)
        session.under_runs.connect(self.transport.show_under_runs)
        self.status.cancel_requested.connect(session.cancel)
        self.transport.quality_chosen.connect(self._on_quality)
        playhead = self.context.playhead
        playhead.moved.connect(self._on_playhead)
        self.keyboard.note_on.connect(self.parts.instrument.note_on)
        self.keyboard.note_off.connect(self.parts.instrument.note_off)
        self.timeline.keys.pressed.connect(lambda note: self.parts.instrument.note_on(note, 96))
        self.timeline.keys.released.connect(self.parts.instrument.note_off)
        self.context.tools.readout.connect(self.status.show_readout)

    def _connect_document(self) -> None:
        document = self.document
        document.file_changed.connect(self._show_title)
        document.changed.connect(self._show_voice)
        document.voice_chosen.connect(self._show_voice)
        document.replaced.connect(self.timeline.fit)
        self.preset_panel.chosen.connect(document.set_preset)
        self.preset_panel.heard.connect(self.audition.play)
        self.preset_panel.moved.connect(self.audition.use)
        self.preset_panel.listed.connect(self.audition.prepare)
        self.preset_panel.told.connect(self.notice.tell)
        self.preset_panel.capture_asked.connect(self._capture_preset)
        self.parts.presets.changed.connect(self.session.follow_presets)
        trouble = self.parts.presets.trouble
        if trouble is not None:
            self.notice.tell(trouble.message, trouble.remedy, "", True)

    def _capture_preset(self) -> None:
        document, at_s = self.document, self.context.playhead.position_s
        at_s = min(at_s, document.passage.duration_s)
        self.preset_panel.keep(capture(document.passage, document.voice, document.preset, at_s))

    def _on_exported(self, event: Exported) -> None:
        self.status.show_other("")
        self.notice.tell(f"Exported {event.path.name}.", event.note or str(event.path.parent), "", False)

    def _on_quality(self, quality: str) -> None:
        self.session.set_quality(quality)
        self.parts.store.change(replace(self.parts.store.settings, draw_quality=quality))

    def _on_playhead(self, _before_s: float, after_s: float) -> None:
        self.transport.show_position(after_s)
        if self.follows and self.session.is_playing:
            self.context.axis.show_time(after_s)

    def _show_title(self) -> None:
        document = self.document
        name = document.path.stem if document.path is not None else "Untitled"
        self.setWindowTitle(f"{name}[*] — Stridor")
        self.setWindowModified(document.history.is_dirty)

    def _show_voice(self) -> None:
        self.preset_panel.show_chosen(self.document.voice.preset)

    def _apply_theme(self) -> None:
        theme = self.context.theme
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.setPalette(theme.qt_palette())
        self.setStyleSheet(theme.style_sheet())

    def _restore(self) -> None:
        settings = self.parts.store.settings
        for encoded, restore in (
            (settings.window_geometry, self.restoreGeometry),
            (settings.window_state, self.restoreState),
        ):
            if encoded:
                restore(QByteArray.fromBase64(encoded.encode()))


def _dropped_file(event: QDragEnterEvent | QDropEvent) -> Path | None:
    """The one local file being dropped, when it is of a kind we open."""
    urls = event.mimeData().urls()
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return path if path.suffix.lower() in _DROPPABLE else None
