"""The first page: drop recordings, or sing into the microphone; and what was left unfinished."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.services.adapting import Level, Recorded, Unfinished
from ui.adapting.page import Page, clock, wrapped
from ui.panels.meter import LevelMeter
from ui.styled import Chooser, label, styled
from ui.theme import Theme

_SOUNDS = "Recordings (*.wav *.flac *.aif *.aiff *.ogg *.mp3)"
_DEFAULT_MICROPHONE = "System default microphone"
INJURY_WARNING = (
    "Growling, screaming and shouting can injure a voice that has not learnt them. Warm up, drink water, sing a few "
    "seconds at a time, and stop at once when it hurts or tickles. Learn them with a teacher."
)
_QUIET_DB, _HOT_DB = -30.0, -3.0


class RecordingsPage(Page):
    """Knows files by path only; `paths` is what shall be looked at.

    record_asked(microphone or None), stop_asked: of a take;  resume_asked, discard_asked(Unfinished)
    """

    record_asked = Signal(object)
    stop_asked = Signal()
    resume_asked = Signal(object)
    discard_asked = Signal(object)

    heading = "Whose voice shall it be?"
    step = "Recordings"
    next_title = "Listen to Them"

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.lead.setText(
            "Two minutes of one singer and one technique are good; thirty are better. Several short takes are worth "
            "more than one long one. A quiet room and no effects, please."
        )
        self.paths: list[Path] = []
        self.is_recording = False
        self._left: Unfinished | None = None
        self.left = self._unfinished_bar()
        self.files = QListWidget()
        self.files.setAccessibleName("Recordings and folders")
        self.files.setMinimumHeight(70)
        self.microphone = Chooser()
        self.microphone.setAccessibleName("Microphone")
        self.microphone.addItem(_DEFAULT_MICROPHONE, None)
        self.meter = LevelMeter(theme)
        self.meter.setAccessibleName("Microphone level")
        self.meter.setToolTip("Level of the microphone. Click to put the clip light out.")
        self.record = QPushButton("&Record a Take")
        self.record.clicked.connect(self._on_record)
        self.guide = wrapped("The level should reach the last third, and never the red light.", "dim")
        self.time = label("", "clock")
        self.column.addWidget(self.left)
        self.column.addWidget(self._drop_area(), 1)
        self.column.addWidget(self._microphone_area())
        self.setAcceptDrops(True)
        QShortcut(QKeySequence(Qt.Key.Key_Delete), self.files, self.remove_chosen)

    @property
    def trouble(self) -> str:
        if self.is_recording:
            return "Stop recording first."
        return "" if self.paths else "Add recordings, or record some."

    def add(self, paths: Sequence[Path]) -> None:
        """More files or folders."""
        for path in paths:
            if path not in self.paths:
                self.paths.append(path)
                item = QListWidgetItem(f"{path.name}/" if path.is_dir() else path.name)
                item.setToolTip(str(path))
                self.files.addItem(item)
        self.changed.emit()

    def remove_chosen(self) -> None:
        """Take the marked one off the list; its file stays."""
        row = self.files.currentRow()
        if row >= 0:
            self.files.takeItem(row)
            del self.paths[row]
            self.changed.emit()

    def show_unfinished(self, begun: Unfinished | None) -> None:
        """Offer what was left, or nothing."""
        self._left = begun
        self.left.setVisible(begun is not None)
        if begun is not None:
            when = time.strftime("%H:%M, %d %B", time.localtime(begun.begun_at_s))
            name = begun.request.name or begun.request.paths[0].stem
            self._left_text.setText(f"Unfinished adaptation found: {name} ({begun.request.technique}), begun {when}.")

    def show_microphones(self, names: Sequence[str]) -> None:
        """List what can be recorded from."""
        chosen = self.microphone.currentData()
        self.microphone.clear()
        self.microphone.addItem(_DEFAULT_MICROPHONE, None)
        for name in names:
            self.microphone.addItem(name, name)
        self.microphone.setCurrentIndex(max(self.microphone.findData(chosen), 0))

    def show_level(self, level: Level) -> None:
        """What the microphone hears, with a word of guidance."""
        self.meter.show_levels(level.peak_db, level.rms_db)
        self.time.setText(clock(level.seconds))
        if self.meter.has_clipped:
            self._guide("Too loud: it clips. Step back or turn the microphone down, and sing it again.", "danger")
        elif level.peak_db > _HOT_DB:
            self._guide("Almost too loud: step back a little.", "warning")
        elif level.peak_db < _QUIET_DB:
            self._guide("Very quiet: come closer, or sing.", "text_dim")
        else:
            self._guide("Good level.", "good")

    def show_take(self, take: Recorded | None) -> None:
        """A take has ended; None: by trouble that is told elsewhere."""
        self.is_recording = False
        self.record.setText("&Record a Take")
        self.microphone.setEnabled(True)
        if take is not None and take.seconds > 0.0:
            self.add([take.path])
            words = take.advice or f"{clock(take.seconds)} recorded. Another take, a little different?"
            self._guide(words, "warning" if take.advice else "good")
        self.changed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self.add([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])

    def _guide(self, words: str, colour: str) -> None:
        self.guide.setText(words)
        self.guide.setStyleSheet(f"color: {getattr(self.theme.colours, colour)}")

    def _on_record(self) -> None:
        if self.is_recording:
            self.stop_asked.emit()
            return
        self.is_recording = True
        self.meter.has_clipped = False
        self.record.setText("&Stop Recording")
        self.microphone.setEnabled(False)
        self._guide("Sing.", "text_dim")
        self.record_asked.emit(self.microphone.currentData())
        self.changed.emit()

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Choose Recordings", str(Path.home()), _SOUNDS)
        self.add([Path(name) for name in names])

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Choose a Folder of Recordings", str(Path.home()))
        if name:
            self.add([Path(name)])

    def _drop_area(self) -> QWidget:
        area = styled(QFrame(), "drop")
        column = QVBoxLayout(area)
        column.setContentsMargins(14, 12, 14, 12)
        column.addWidget(label("Drop recordings or a folder here", "title"))
        row = QHBoxLayout()
        for words, call in (
            ("Choose &Files…", self._choose_files),
            ("Choose F&older…", self._choose_folder),
            ("Re&move", self.remove_chosen),
        ):
            button = QPushButton(words)
            button.setAutoDefault(False)
            button.clicked.connect(call)
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(label("WAV, FLAC, AIFF, OGG, MP3", "faint"))
        column.addLayout(row)
        column.addWidget(self.files, 1)
        return area

    def _microphone_area(self) -> QWidget:
        area = QWidget()
        column = QVBoxLayout(area)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(8)
        column.addWidget(label("OR SING NOW", "section"))
        self.warning = wrapped(INJURY_WARNING)
        column.addWidget(self.warning)
        row = QHBoxLayout()
        row.setSpacing(12)
        self.record.setAutoDefault(False)
        for widget in (self.record, self.microphone, self.meter, self.time):
            row.addWidget(widget)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.guide)
        return area

    def _unfinished_bar(self) -> QFrame:
        bar = styled(QFrame(), "notice")
        bar.setProperty("tone", "info")
        self._left_text = wrapped("")
        self.resume = QPushButton("Res&ume")
        self.discard = QPushButton("&Discard")
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 6, 8, 6)
        row.addWidget(self._left_text, 1)
        for button, signal in ((self.resume, self.resume_asked), (self.discard, self.discard_asked)):
            button.setAutoDefault(False)
            button.clicked.connect(lambda _on=False, told=signal: told.emit(self._left))
            row.addWidget(button)
        bar.hide()
        return bar
