"""Small widgets the style sheet knows by name."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QLabel, QWidget

W = TypeVar("W", bound=QWidget)


def styled(widget: W, name: str) -> W:
    """`widget` under the style sheet's rules for `name`."""
    widget.setObjectName(name)
    return widget


def label(text: str, name: str) -> QLabel:
    """A label under the style sheet's rules for `name`: title, dim, faint, section."""
    return styled(QLabel(text), name)


class Chooser(QComboBox):
    """A combo box with a chevron that follows the theme (style sheets cannot draw one without a file)."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self.palette().text().color(), 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        middle = QPointF(self.width() - 14, self.height() / 2 + 1)
        painter.drawPolyline([middle + QPointF(-4, -2), middle + QPointF(0, 2), middle + QPointF(4, -2)])
        painter.end()
