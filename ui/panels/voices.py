"""The voices: choose, add, remove, rename; seed, gain and pan of the chosen one."""

from __future__ import annotations

import secrets

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from app.state import edits
from app.state.passage import GAIN_DB_RANGE, MAX_SEED
from ui.document import Document
from ui.panels.transport import command_button
from ui.styled import label

_PAN_STEPS = 100
_FRESH_SEEDS = 1_000_000  # short enough to read out; any file may hold larger ones


class VoicePanel(QWidget):
    """Shows the document; writes only on user action."""

    preset_wanted = Signal()

    def __init__(self, document: Document, new_take: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self.list = QListWidget()
        self.list.setAccessibleName("Voices")
        self.list.currentRowChanged.connect(document.choose_voice)
        self.list.itemChanged.connect(self._on_renamed)
        self.add = QPushButton("Add")
        self.add.setToolTip("Add a voice")
        self.add.clicked.connect(self._add)
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Remove the chosen voice")
        self.remove.clicked.connect(self._remove)
        self.seed = QLineEdit()
        self.seed.setAccessibleName("Seed")
        self.seed.setToolTip("The same curves with another seed are another take")
        self.seed.editingFinished.connect(self._on_seed)
        self.gain = QDoubleSpinBox()
        self.gain.setRange(*GAIN_DB_RANGE)
        self.gain.setSuffix(" dB")
        self.gain.setDecimals(1)
        self.gain.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.gain.setAccessibleName("Gain")
        self.gain.setKeyboardTracking(False)
        self.gain.valueChanged.connect(self._on_gain)
        self.pan = QSlider(Qt.Orientation.Horizontal)
        self.pan.setRange(-_PAN_STEPS, _PAN_STEPS)
        self.pan.setAccessibleName("Pan")
        self.pan.setToolTip("Left to right")
        self.pan.valueChanged.connect(self._on_pan)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        buttons.addStretch(1)
        seed = QHBoxLayout()
        seed.addWidget(self.seed, 1)
        seed.addWidget(command_button(new_take))
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setVerticalSpacing(9)
        form.addRow("Seed", seed)
        form.addRow("Gain", self.gain)
        form.addRow("Pan", self.pan)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(10)
        column.addWidget(self.list, 1)
        column.addLayout(buttons)
        column.addSpacing(6)
        column.addWidget(label("CHOSEN VOICE", "section"))
        column.addLayout(form)
        document.changed.connect(self.refresh)
        document.voice_chosen.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the document as it is; never writes to it."""
        document = self._document
        widgets = (self.list, self.seed, self.gain, self.pan)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        voices = document.passage.voices
        while self.list.count() > len(voices):
            self.list.takeItem(self.list.count() - 1)
        for index, voice in enumerate(voices):
            item = self.list.item(index)
            if item is None:
                item = QListWidgetItem()
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                self.list.addItem(item)
            item.setText(voice.name)
        self.list.setCurrentRow(document.voice_index)
        self.remove.setEnabled(len(voices) > 1)
        self.seed.setText(str(document.voice.seed))
        self.gain.setValue(document.voice.gain_db)
        self.pan.setValue(round(document.voice.pan * _PAN_STEPS))
        del blockers

    def new_take(self) -> None:
        """Another seed for the chosen voice."""
        self._set_seed(secrets.randbelow(_FRESH_SEEDS))

    def _set_seed(self, seed: int) -> None:
        index = self._document.voice_index
        self._document.perform("Change Seed", lambda passage: edits.set_seed(passage, index, seed))

    def _on_seed(self) -> None:
        text = self.seed.text().strip()
        if text.isdigit() and int(text) <= MAX_SEED:
            if int(text) != self._document.voice.seed:
                self._set_seed(int(text))
        else:
            self._document.fault.emit(f"{text!r} is not a seed.", "Use a whole number from 0 up.")
            self.refresh()

    def _on_gain(self, gain_db: float) -> None:
        index = self._document.voice_index
        self._document.perform("Change Gain", lambda passage: edits.set_mix(passage, index, gain_db=gain_db))

    def _on_pan(self, step: int) -> None:
        index = self._document.voice_index
        self._document.perform("Change Pan", lambda passage: edits.set_mix(passage, index, pan=step / _PAN_STEPS))

    def _on_renamed(self, item: QListWidgetItem) -> None:
        index, name = self.list.row(item), item.text().strip()
        if name:
            self._document.perform("Rename Voice", lambda passage: edits.rename_voice(passage, index, name))
        self.refresh()

    def _add(self) -> None:
        if self._document.perform("Add Voice", edits.add_voice):
            self._document.choose_voice(len(self._document.passage.voices) - 1)

    def _remove(self) -> None:
        index = self._document.voice_index
        self._document.perform("Remove Voice", lambda passage: edits.remove_voice(passage, index))
