"""What this machine can play: the doctor's measurements, and how to set things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.services.machine_check import MachineCheck
from ui.performance.cards import Card
from ui.styled import label

_LOOK_MS = 100
_WIDTH_PX = 560
_TITLES = {"machine": "Machine", "live": "Voice", "sound": "Outputs", "periods": "Device periods"}
_WAITING = "Measuring what a voice costs and which device periods hold. It takes up to a minute; better do not play."


class MachineDialog(QDialog):
    """Measures as soon as it is opened."""

    def __init__(self, parent: QWidget, check: MachineCheck | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Check This Machine")
        self.setMinimumWidth(_WIDTH_PX)
        self._check = MachineCheck() if check is None else check
        self.words = label(_WAITING, "dim")
        self.words.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName("Measuring")
        self._answers = QVBoxLayout()
        self._answers.setSpacing(10)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.again = QPushButton("Measure Again")
        self.again.setEnabled(False)
        self.again.clicked.connect(self._measure_again)
        buttons.addButton(self.again, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(12)
        for widget in (self.words, self.bar):
            column.addWidget(widget)
        column.addLayout(self._answers)
        column.addWidget(buttons)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.finished.connect(self._end)
        self._begin()

    def show_answer(self, answer: Mapping[str, Any]) -> None:
        """One card for each part that was looked at; advice comes first."""
        while (item := self._answers.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        advice = [words for part in answer.values() for words in part.get("advice", ())]
        if advice:
            self._answers.addWidget(_card("How to play here", advice, is_well=True))
        for name, part in answer.items():
            words = [str(line) for line in part.get("words", ()) if line not in advice]
            self._answers.addWidget(_card(_TITLES.get(name, name.capitalize()), words, is_well=bool(part.get("ok"))))

    def _begin(self) -> None:
        try:
            self._check.start()
        except OSError as fault:
            self._tell(f"The check cannot be started: {fault.strerror or fault}.")
            return
        self._timer.start()

    def _look(self) -> None:
        if not self._check.is_over:
            return
        self._timer.stop()
        if self._check.answer is None:
            self._tell(f"The machine could not be measured: {self._check.fault}")
            return
        self._tell("Measured just now. Other programs that run take part of what is there.")
        self.show_answer(self._check.answer)

    def _tell(self, words: str) -> None:
        self.words.setText(words)
        self.bar.hide()
        self.again.setEnabled(True)

    def _measure_again(self) -> None:
        self._check = MachineCheck()
        self.words.setText(_WAITING)
        self.bar.show()
        self.again.setEnabled(False)
        self._begin()

    def _end(self) -> None:
        self._timer.stop()
        self._check.close()
        self.deleteLater()


def _card(title: str, words: list[str], *, is_well: bool) -> Card:
    card = Card(title if is_well else f"{title} – look here")
    for line in words:
        text = QLabel(line)
        text.setWordWrap(True)
        card.column.addWidget(text)
    return card
