"""Fields of a mapping's row: they do not turn under a passing wheel, and long lists are made when they are opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFocusEvent, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox

from ui.styled import Chooser


class CalmChooser(Chooser):
    """`picked(data)` when the user has chosen. choices: () -> [(data, title)], asked for when they are needed."""

    picked = Signal(str)

    def __init__(self, name: str, choices: Callable[[], Sequence[tuple[str, str]]]) -> None:
        super().__init__()
        self._choices = choices
        self._is_filled = False
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumContentsLength(6)
        self.setSizeAdjustPolicy(Chooser.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMaxVisibleItems(18)
        self.activated.connect(lambda _index: self.picked.emit(str(self.currentData())))

    def show_choice(self, data: str, title: str) -> None:
        """Show this one; the list is made again when it is opened."""
        if self.currentData() == data and self.currentText() == title:
            return
        blocker = QSignalBlocker(self)
        self.clear()
        self.addItem(title, data)
        self._is_filled = False
        blocker.unblock()

    def fill(self) -> None:
        """Make the list; what is chosen stays so."""
        if self._is_filled:
            return
        self._is_filled = True
        blocker = QSignalBlocker(self)
        data, title = self.currentData(), self.currentText()
        self.clear()
        choices = list(self._choices())
        if data is not None and data not in [value for value, _ in choices]:
            choices.insert(0, (data, title))
        for value, words in choices:
            self.addItem(words, value)
        self.setCurrentIndex(max(self.findData(data), 0))
        blocker.unblock()

    def showPopup(self) -> None:
        self.fill()
        super().showPopup()

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.fill()
        super().focusInEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class CalmSpin(QDoubleSpinBox):
    """`entered(value)` when the user has finished a number."""

    entered = Signal(float)

    def __init__(self, name: str, *, low: float, high: float, decimals: int, step: float, suffix: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setKeyboardTracking(False)
        self.setDecimals(decimals)
        self.setRange(low, high)
        self.setSingleStep(step)
        self.setSuffix(suffix)
        self.valueChanged.connect(self.entered)

    def show_value(self, value: float) -> None:
        """Show it without telling."""
        blocker = QSignalBlocker(self)
        self.setValue(value)
        blocker.unblock()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
