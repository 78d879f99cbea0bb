"""The keyboard beside the roll: names the rows, plays when pressed."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui.canvas.context import CanvasContext
from ui.canvas.roll_view import BLACK_KEYS, RollView
from ui.formats import note_name
from ui.theme import ui_font, with_alpha

KEY_GUTTER_WIDTH_PX = 60


class KeyGutter(QWidget):
    """Keys at the roll's vertical scale. `pressed`/`released` carry note numbers."""

    pressed = Signal(float)
    released = Signal(float)

    def __init__(self, context: CanvasContext, roll: RollView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context, self._roll = context, roll
        self._held: int | None = None
        self.setFixedWidth(KEY_GUTTER_WIDTH_PX)
        self.setAccessibleName("Keys beside the roll")
        self.setToolTip("Press a key to hear the preset")
        roll.rows_changed.connect(self.update)
        context.theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        colours, scale = self._context.theme.colours, self._roll.scale()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(colours.key_white))
        row = scale.px_per_unit
        for note in range(int(np.floor(scale.bottom)), int(np.ceil(scale.top)) + 1):
            top = scale.y_of(note + 0.5)
            if note % 12 in BLACK_KEYS:
                shade = QColor(colours.accent) if note == self._held else QColor(colours.key_black)
                painter.fillRect(QRectF(0, top, self.width() * 0.6, row), shade)
                painter.fillRect(
                    QRectF(self.width() * 0.6, top + row / 2, self.width(), 1), with_alpha("#000000", 0.16)
                )
            else:
                if note == self._held:
                    painter.fillRect(QRectF(0, top, self.width(), row), with_alpha(colours.accent, 0.7))
                if note % 12 in (0, 5):
                    painter.fillRect(QRectF(0, top + row, self.width(), 1), with_alpha("#000000", 0.22))
        painter.setFont(ui_font(size_px=10))
        painter.setPen(QColor("#4a5160"))
        for note in range(int(np.floor(scale.bottom)), int(np.ceil(scale.top)) + 1):
            if note % 12 == 0:
                box = QRectF(0, scale.y_of(note) - 7, self.width() - 5, 14)
                painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, note_name(note))
        painter.fillRect(self.width() - 1, 0, 1, self.height(), QColor(colours.border))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._hold(round(self._roll.scale().value_of(event.position().y())))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        note = round(self._roll.scale().value_of(event.position().y()))
        if self._held is not None and note != self._held:
            self._hold(note)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._hold(None)

    def _hold(self, note: int | None) -> None:
        if self._held is not None:
            self.released.emit(float(self._held))
        if note is not None:
            note = int(self._roll.spec.clamp(note))
            self.pressed.emit(float(note))
        self._held = note
        self.update()
