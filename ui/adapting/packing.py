"""From a preset to a pack that a stranger can install."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.services.adapting import AdaptingLike
from synth.errors import UserError
from ui.adapting.page import wrapped
from ui.styled import label

_SUFFIX = ".stridorpack"
_FILTER = f"Packs (*{_SUFFIX})"


class PackDialog(QDialog):
    """told(message, remedy, is_fault) after it was packed, or could not be."""

    told = Signal(str, str, bool)

    def __init__(self, desk: AdaptingLike, preset_id: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._desk, self._preset_id = desk, preset_id
        self.setWindowTitle("Pack It")
        self.setMinimumWidth(500)
        self.name = QLineEdit(preset_id.replace("_", " ").capitalize())
        self.version = QLineEdit("1.0")
        self.about = QLineEdit()
        self.about.setPlaceholderText("A sentence for strangers")
        self.file = QLineEdit(str(Path.home() / f"{preset_id}{_SUFFIX}"))
        self._fault = wrapped("")
        choose = QPushButton("Choose…")
        choose.setAutoDefault(False)
        choose.clicked.connect(self._choose)
        where = QHBoxLayout()
        where.addWidget(self.file, 1)
        where.addWidget(choose)
        form = QFormLayout()
        form.setVerticalSpacing(9)
        for words, field in (("&Name", self.name), ("&Version", self.version), ("&Description", self.about)):
            field.setAccessibleName(words.replace("&", ""))
            form.addRow(words, field)
        self.file.setAccessibleName("File")
        form.addRow("File", where)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.save)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(12)
        column.addWidget(label("Preset and adapter go into one file, with author, licence and consent.", "dim"))
        column.addLayout(form)
        column.addWidget(self._fault)
        column.addWidget(buttons)
        self._fault.hide()

    def save(self) -> None:
        """Write the pack; trouble is told here, and the dialog stays."""
        path = Path(self.file.text().strip()).expanduser()
        if path.suffix != _SUFFIX:
            path = path.with_name(path.name + _SUFFIX)
        if path.exists() and str(path) != self._agreed:
            self._agreed = str(path)
            self._tell(f"{path.name} is there already: Save again to replace it.")
            return
        words = {"name": self.name.text().strip(), "version": self.version.text().strip()}
        try:
            signed = self._desk.pack(self._preset_id, path, **words, description=self.about.text().strip())
        except UserError as fault:
            self._tell(str(fault))
            return
        how = "Signed with your key." if signed else "It is not signed: `stridor presets keys --make` makes you a key."
        self.told.emit(f"Packed: {path}", how, False)
        self.accept()

    _agreed = ""

    def _tell(self, words: str) -> None:
        self._fault.setText(words)
        self._fault.show()

    def _choose(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Pack It", self.file.text(), _FILTER)
        if name:
            self.file.setText(name)
            self._agreed = name  # the system's dialog has asked
