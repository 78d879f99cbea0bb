"""Small round buttons in as many rows as they need: one for each technique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QLayout, QLayoutItem, QSizePolicy, QWidget

from synth.spec import lane
from ui.theme import Theme, ui_font, with_alpha

_GAP_PX = 4
_HEIGHT_PX = 20


class Pill(QAbstractButton):
    """One word; filled while it is chosen."""

    def __init__(self, text: str, colour: str, theme: Theme) -> None:
        super().__init__()
        self._colour, self._theme = colour, theme
        self.setText(text)
        self.setAccessibleName(text)
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFont(ui_font(size_px=11))
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.text()) + 16, _HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        shade = self._theme.lane_colour(self._colour)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        faint = QColor(shade)
        faint.setAlphaF(0.28 if self.underMouse() else 0.14)
        painter.setBrush(shade if self.isChecked() else faint)
        painter.setPen(QColor(colours.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.drawRoundedRect(box, _HEIGHT_PX / 2, _HEIGHT_PX / 2)
        dark_words = with_alpha("#10131a" if colours.is_dark else "#ffffff", 1.0)
        painter.setPen(dark_words if self.isChecked() else QColor(colours.text))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()


class TechniquePills(QWidget):
    """`chosen(technique)`, or "" when none is; at most one at a time."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, techniques: Sequence[str]) -> None:
        super().__init__()
        self._pills: dict[str, Pill] = {}
        flow = FlowLayout(self)
        for name in techniques:
            spec = lane(f"technique.{name}")
            pill = Pill(spec.title, spec.colour, theme)
            pill.clicked.connect(lambda is_on, chosen=name: self._choose(chosen if is_on else ""))
            self._pills[name] = pill
            flow.addWidget(pill)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Hide techniques that no preset is strongest in."""
        for name, pill in self._pills.items():
            pill.setVisible(counts.get(name, 0) > 0)
            pill.setToolTip(f"{counts.get(name, 0)} presets")

    def pill(self, technique: str) -> Pill:
        """The button of a technique."""
        return self._pills[technique]

    def _choose(self, name: str) -> None:
        for other, pill in self._pills.items():
            pill.setChecked(other == name)
        self.chosen.emit(name)


class FlowLayout(QLayout):
    """Widgets one behind the other, in rows as wide as there is room."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, arg__1: QLayoutItem) -> None:
        self._items.append(arg__1)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # pyright: ignore[reportIncompatibleMethodOverride] (the stubs forget None)
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # pyright: ignore[reportIncompatibleMethodOverride] (the stubs forget None)
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, arg__1: int) -> int:
        return self._lay_out(QRect(0, 0, arg__1, 0), moves=False)

    def setGeometry(self, arg__1: QRect) -> None:
        super().setGeometry(arg__1)
        self._lay_out(arg__1, moves=True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        widest = max((item.sizeHint().width() for item in self._items), default=0)
        return QSize(widest, _HEIGHT_PX)

    def _lay_out(self, box: QRect, *, moves: bool) -> int:
        """-> the height it takes."""
        x, y = box.x(), box.y()
        for item in self._items:
            if item.isEmpty():
                continue
            size = item.sizeHint()
            if x > box.x() and x + size.width() > box.right() + 1:
                x, y = box.x(), y + _HEIGHT_PX + _GAP_PX
            if moves:
                item.setGeometry(QRect(QPoint(x, y), size))
            x += size.width() + _GAP_PX
        return y + _HEIGHT_PX - box.y()
