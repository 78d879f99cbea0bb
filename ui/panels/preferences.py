"""Preferences: devices, rendering, appearance; and the table of shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.services import InstrumentLike
from ui.actions import COMMANDS
from ui.panels.transport import QUALITIES
from ui.preferences_store import PreferencesStore
from ui.styled import Chooser, label
from ui.theme import Theme, ThemeChoice

_SYSTEM_OUTPUT = "System default"
_NO_MIDI = "None"


class PreferencesDialog(QDialog):
    """Every choice takes effect at once."""

    def __init__(
        self, instrument: InstrumentLike, store: PreferencesStore, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._instrument, self._store, self._theme = instrument, store, theme
        self.setWindowTitle("Preferences")
        self.setMinimumWidth(440)
        self.output, self.midi = Chooser(), Chooser()
        self.export, self.appearance, self.compute = Chooser(), Chooser(), Chooser()
        self._hint = label("", "faint")
        self._hint.setWordWrap(True)
        form = QFormLayout()
        form.setVerticalSpacing(10)
        form.setHorizontalSpacing(18)
        for title, box in (
            ("Audio output", self.output),
            ("MIDI input", self.midi),
            ("Export quality", self.export),
            ("Compute device", self.compute),
            ("Appearance", self.appearance),
        ):
            box.setAccessibleName(title)
            form.addRow(title, box)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(14)
        column.addLayout(form)
        column.addWidget(self._hint)
        column.addWidget(buttons)
        self.refresh()
        self.output.activated.connect(self._on_output)
        self.midi.activated.connect(self._on_midi)
        self.export.activated.connect(lambda _i: self._change(export_quality=self.export.currentData()))
        self.compute.activated.connect(lambda _i: self._change(compute_device=self.compute.currentData()))
        self.appearance.activated.connect(self._on_appearance)

    def refresh(self) -> None:
        """List the devices there are now."""
        settings = self._store.settings
        devices = [(device.id, device.name) for device in self._instrument.output_devices()]
        _fill(self.output, [(None, _SYSTEM_OUTPUT), *devices], settings.output_device)
        inputs = [(name, name) for name in self._instrument.midi_inputs()]
        _fill(self.midi, [(None, _NO_MIDI), *inputs], settings.midi_input)
        _fill(self.export, QUALITIES, settings.export_quality)
        _fill(self.compute, (("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "GPU (CUDA)")), settings.compute_device)
        choices = (("system", "Follow system"), ("dark", "Dark"), ("light", "Light"))
        _fill(self.appearance, choices, settings.theme)
        missing = "" if devices else "No sound card was found. Everything but hearing works; export writes files. "
        self._hint.setText(missing + "The compute device is used from the next start.")

    def _on_output(self, _index: int) -> None:
        self._instrument.set_output_device(self.output.currentData())
        self._change(output_device=self.output.currentData())

    def _on_midi(self, _index: int) -> None:
        self._instrument.set_midi_input(self.midi.currentData())
        self._change(midi_input=self.midi.currentData())

    def _on_appearance(self, _index: int) -> None:
        self._theme.choose(ThemeChoice(self.appearance.currentData()))
        self._change(theme=self.appearance.currentData())

    def _change(self, **values: Any) -> None:
        """Settings checks what it is given."""
        self._store.change(replace(self._store.settings, **values))


class ShortcutsDialog(QDialog):
    """Every command with its keys, searchable."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard Shortcuts")
        self.resize(560, 560)
        search = QLineEdit()
        search.setPlaceholderText("Search commands")
        search.setAccessibleName("Search commands")
        rows = [
            (c.title.rstrip("…"), ", ".join(QKeySequence(key).toString() for key in c.keys), c.tip)
            for c in COMMANDS
            if c.keys
        ]
        rows += [
            ("Zoom time", "Ctrl+wheel, pinch", "About the pointer"),
            ("Scroll time", "Shift+wheel", ""),
            ("Zoom notes", "Ctrl+Shift+wheel", "In the roll"),
            ("Erase", "Right drag", "With any tool"),
            ("Transpose", "Up, Down; with Shift: more", "Selection, or a point at the playhead"),
            ("Move playhead", "Left, Right; with Shift: more", "While a lane has the focus"),
        ]
        self.table = QTableWidget(len(rows), 3)
        self.table.setHorizontalHeaderLabels(["Command", "Keys", ""])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setStretchLastSection(True)
        for index, row in enumerate(rows):
            for column, text in enumerate(row):
                self.table.setItem(index, column, QTableWidgetItem(text))
        search.textChanged.connect(self._filter)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column_layout = QVBoxLayout(self)
        for widget in (search, self.table, buttons):
            column_layout.addWidget(widget)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def _filter(self, text: str) -> None:
        for row in range(self.table.rowCount()):
            items = (self.table.item(row, column) for column in range(3))
            hay = " ".join(item.text() for item in items if item is not None).casefold()
            self.table.setRowHidden(row, text.casefold() not in hay)


def _fill(box: QComboBox, entries: Sequence[tuple[str | None, str]], chosen: str | None) -> None:
    box.clear()
    for value, title in entries:
        box.addItem(title, value)
    index = box.findData(chosen)
    if index < 0 and chosen is not None:
        box.addItem(f"{chosen} (not connected)", chosen)
        index = box.count() - 1
    box.setCurrentIndex(max(index, 0))
