"""Level meter with peak hold and a clip light."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QLinearGradient, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui.theme import Theme

_FLOOR_DB = -60.0
_FALL_DB_A_TURN = 0.7
_HOLD_TURNS = 60


class LevelMeter(QWidget):
    """Two bars, dB re full scale. Click to put the clip light out."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._shown_db = [_FLOOR_DB, _FLOOR_DB]
        self._peak_db = [_FLOOR_DB, _FLOOR_DB]
        self._age = [0, 0]
        self.has_clipped = False
        self.setFixedSize(132, 22)
        self.setAccessibleName("Output level")
        self.setToolTip("Output level, dB re full scale. Click to reset the clip light.")
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(132, 22)

    def show_levels(self, left_db: float, right_db: float) -> None:
        """New levels; the bars fall slowly."""
        before = (list(self._shown_db), list(self._peak_db))
        for channel, level_db in enumerate((left_db, right_db)):
            self._shown_db[channel] = max(level_db, self._shown_db[channel] - _FALL_DB_A_TURN, _FLOOR_DB)
            self._age[channel] += 1
            if level_db >= self._peak_db[channel] or self._age[channel] > _HOLD_TURNS:
                self._peak_db[channel] = max(level_db, _FLOOR_DB)
                self._age[channel] = 0
            self.has_clipped = self.has_clipped or level_db >= 0.0
        if before != (self._shown_db, self._peak_db):
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.has_clipped = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        width = self.width() - 14.0
        gradient = QLinearGradient(0, 0, width, 0)
        gradient.setColorAt(0.0, QColor(colours.good))
        gradient.setColorAt(0.72, QColor(colours.good))
        gradient.setColorAt(0.86, QColor(colours.warning))
        gradient.setColorAt(1.0, QColor(colours.danger))
        for channel in range(2):
            top = 4 + channel * 8
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(QRectF(0, top, width, 5), 2, 2)
            painter.setBrush(gradient)
            painter.drawRoundedRect(QRectF(0, top, width * self._share(self._shown_db[channel]), 5), 2, 2)
            peak = self._share(self._peak_db[channel])
            if peak > 0:
                painter.fillRect(QRectF(min(width * peak, width - 2), top, 2, 5), QColor(colours.text))
        painter.setBrush(QColor(colours.danger if self.has_clipped else colours.hover))
        painter.drawRoundedRect(QRectF(width + 5, 4, 8, 13), 2, 2)
        painter.end()

    @staticmethod
    def _share(level_db: float) -> float:
        return min(max((level_db - _FLOOR_DB) / -_FLOOR_DB, 0.0), 1.0)
