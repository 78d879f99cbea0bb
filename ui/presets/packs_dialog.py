"""Packs that are installed, and the keys of authors that are remembered: shown plainly, removed and forgotten here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ui.presets.shelf import PresetShelf
from ui.styled import label

_SIZE_PX = (760, 480)
_UNSIGNED = "not signed"
_KEYS_TOLD = (
    "The key that first signed for an author's name is remembered. A pack of the same name that another key signed, "
    "or none, is asked about. Compare a fingerprint with what its author tells you elsewhere."
)


class PacksDialog(QDialog):
    """Two tables over one shelf; each knows what can be done to its marked row."""

    def __init__(self, shelf: PresetShelf, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Packs and Authors")
        self.resize(*_SIZE_PX)
        self._shelf = shelf
        self.packs = _table("Installed packs", ("Pack", "Version", "Author", "Licence", "Presets", "Signed by"))
        self.pins = _table("Remembered keys", ("Author", "Fingerprint"))
        self.remove = _button("Remove Pack", lambda: shelf.remove_pack(self._marked(self.packs)))
        self.undo = _button("Undo", shelf.undo_pack)
        self.forget = _button("Forget Key", lambda: shelf.forget_key(self._marked(self.pins)))
        told = label(_KEYS_TOLD, "faint")
        told.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setSpacing(8)
        for widget in (_heading("Installed packs"), self.packs, _heading("Remembered keys"), told, self.pins):
            column.addWidget(widget)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        for button in (self.remove, self.undo, self.forget):
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        for table in (self.packs, self.pins):
            table.itemSelectionChanged.connect(self._show_what_may_be_done)
        shelf.changed.connect(self.show_all)
        self.show_all()

    def show_all(self) -> None:
        """What the shelf has now."""
        packs = self._shelf.packs().packs
        _fill(
            self.packs,
            [
                (
                    pack.name,
                    pack.version,
                    pack.author,
                    pack.licence,
                    str(len(pack.presets)),
                    pack.fingerprint or _UNSIGNED,
                )
                for pack in packs
            ],
            [pack.id for pack in packs],
        )
        pins = self._shelf.pins().pins
        _fill(self.pins, [(pin.author, pin.key.fingerprint) for pin in pins], [pin.key.fingerprint for pin in pins])
        self._show_what_may_be_done()

    def _show_what_may_be_done(self) -> None:
        self.remove.setEnabled(bool(self._marked(self.packs)))
        self.forget.setEnabled(bool(self._marked(self.pins)))
        steps = self._shelf.packs().steps
        self.undo.setEnabled(bool(steps))
        self.undo.setText(f"Undo {steps[-1].name}".replace("&", "&&") if steps else "Undo")

    def _marked(self, table: QTableWidget) -> str:
        """The id behind the marked row; empty where none is."""
        rows = table.selectionModel().selectedRows()
        return str(rows[0].data(Qt.ItemDataRole.UserRole)) if rows else ""


def _heading(text: str) -> QLabel:
    return label(text, "section")


def _button(text: str, do: Callable[[], object]) -> QPushButton:
    button = QPushButton(text)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: do())
    return button


def _table(name: str, header: Sequence[str]) -> QTableWidget:
    table = QTableWidget(0, len(header))
    table.setAccessibleName(name)
    table.setHorizontalHeaderLabels(list(header))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.verticalHeader().hide()
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.horizontalHeader().setStretchLastSection(True)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table


def _fill(table: QTableWidget, rows: Sequence[Sequence[str]], ids: Sequence[str]) -> None:
    table.setRowCount(len(rows))
    for place, (row, row_id) in enumerate(zip(rows, ids, strict=True)):
        for column, text in enumerate(row):
            item = QTableWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, row_id)
            table.setItem(place, column, item)
