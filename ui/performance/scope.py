"""Oscilloscope and spectrum of what is played live, painted from buffers; nothing is done while they are hidden."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from synth.spec import Float32Array
from ui.canvas.curves import polygon
from ui.performance.sound_analysis import (
    FLOOR_DB,
    HIGHEST_HZ,
    LOWEST_HZ,
    SMALLEST_PEAK,
    SpectrumAnalyser,
    rising_crossing,
)
from ui.theme import Theme, ui_font

SHOWN_SAMPLES = 1200  # 25 ms
_LEAST_SCALE = 0.05
_ZOOM_IN = 0.97  # the scale grows at once and shrinks slowly
_MARGIN_PX = 26
_CEILING_DB = 0.0
_LABELLED_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_LABELLED_DB = (-20, -40, -60, -80, -100)


class _Picture(QWidget):
    """A plot on the canvas colour."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self._theme = theme
        self.setAccessibleName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        painter.fillRect(self.rect(), QColor(colours.canvas))
        painter.setFont(ui_font(size_px=10))
        self._draw(painter)
        painter.end()

    def _draw(self, painter: QPainter) -> None:
        raise NotImplementedError


class Oscilloscope(_Picture):
    """25 ms from a rising zero crossing on; the scale follows the loudest sample."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "Oscilloscope of the live output")
        self._shown = np.zeros(SHOWN_SAMPLES, dtype=np.float64)
        self._x = np.arange(SHOWN_SAMPLES, dtype=np.float64)
        self._scale = _LEAST_SCALE
        self.setToolTip("The live output, 25 ms from a rising zero crossing on")

    @property
    def shown(self) -> Float32Array:
        """The samples in the picture. -> [SHOWN_SAMPLES]"""
        return self._shown.astype(np.float32)

    def show_audio(self, audio: Float32Array) -> None:
        """The newest part of the stream, some times SHOWN_SAMPLES long."""
        start = rising_crossing(audio, SHOWN_SAMPLES)
        part = audio[start : start + SHOWN_SAMPLES]
        was_silent = not self._shown.any()
        self._shown[: len(part)] = part
        peak = float(np.abs(part).max(initial=0.0))
        self._scale = max(peak, self._scale * _ZOOM_IN, _LEAST_SCALE)
        if not (was_silent and peak == 0.0):
            self.update()

    def _draw(self, painter: QPainter) -> None:
        colours = self._theme.colours
        width, height = self.width(), self.height()
        middle = height / 2
        painter.setPen(QPen(QColor(colours.grid_major), 1))
        n_parts = 5  # of 5 ms
        for part in range(1, n_parts):
            painter.drawLine(QPointF(width * part / n_parts, 0), QPointF(width * part / n_parts, height))
        painter.drawLine(QPointF(0, middle), QPointF(width, middle))
        painter.setPen(QColor(colours.text_faint))
        for part in range(1, n_parts):
            painter.drawText(QPointF(width * part / n_parts + 4, height - 6), f"{5 * part} ms")
        painter.drawText(QPointF(6, 14), f"± {self._scale:.2f}")
        gain = (middle - 12) / self._scale
        painter.setPen(QPen(QColor(colours.accent), 1))
        painter.drawPolyline(polygon(self._x * (width / (SHOWN_SAMPLES - 1)), middle - self._shown * gain))
        if float(np.abs(self._shown).max()) < SMALLEST_PEAK:
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(QRectF(0, middle - 30, width, 20), Qt.AlignmentFlag.AlignCenter, "silence")


class SpectrumView(_Picture):
    """Level over log frequency, with the peaks held."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "Spectrum of the live output")
        self.analyser = SpectrumAnalyser()
        share = np.log(self.analyser.bands_hz / LOWEST_HZ) / np.log(HIGHEST_HZ / LOWEST_HZ)
        self._share = share
        self.setToolTip("The live output: level in dB over log frequency; the thin line holds the peaks. Click: reset")

    def show_audio(self, audio: Float32Array) -> None:
        """The newest SPECTRUM_SAMPLES of the stream."""
        at_rest = self.analyser.held_db.max() <= FLOOR_DB
        self.analyser.take(audio)
        if not (at_rest and self.analyser.held_db.max() <= FLOOR_DB):
            self.update()

    def mousePressEvent(self, event: object) -> None:
        self.analyser.reset()
        self.update()

    def _draw(self, painter: QPainter) -> None:
        colours = self._theme.colours
        width, height = self.width(), self.height()
        x_px = self._share * width
        levels = self._y(self.analyser.levels_db, height)
        area = polygon(np.concatenate((x_px, [width, 0.0])), np.concatenate((levels, [height, height])))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_between(colours.canvas, colours.accent, 0.25))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # its edge is drawn over
        painter.drawPolygon(area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self._draw_grid(painter)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(colours.accent), 1))
        painter.drawPolyline(polygon(x_px, levels))
        painter.setPen(QPen(QColor(colours.playhead), 1))
        painter.drawPolyline(polygon(x_px, self._y(self.analyser.held_db, height)))

    def _draw_grid(self, painter: QPainter) -> None:
        colours = self._theme.colours
        width, height = self.width(), self.height()
        for hz in _LABELLED_HZ:
            x = width * np.log(hz / LOWEST_HZ) / np.log(HIGHEST_HZ / LOWEST_HZ)
            painter.setPen(QPen(QColor(colours.grid_major), 1))
            painter.drawLine(QPointF(x, 0), QPointF(x, height))
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(QPointF(x + 4, height - 6), f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz")
        for level_db in _LABELLED_DB:
            y = float(self._y(np.array([level_db]), height)[0])
            painter.setPen(QPen(QColor(colours.grid_major), 1))
            painter.drawLine(QPointF(0, y), QPointF(width, y))
            if y < height - _MARGIN_PX:
                painter.setPen(QColor(colours.text_faint))
                painter.drawText(QPointF(6, y - 3), f"{level_db} dB".replace("-", "\N{MINUS SIGN}"))

    @staticmethod
    def _y(level_db: np.ndarray, height: float) -> np.ndarray:
        return np.clip((_CEILING_DB - level_db) / (_CEILING_DB - FLOOR_DB), 0.0, 1.0) * height


def _between(ground: str, colour: str, share: float) -> QColor:
    """`colour` laid thinly over `ground`, opaque: a see-through fill costs the painter several times as much."""
    one, other = QColor(ground), QColor(colour)
    pairs = ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
    return QColor(*(round(low + (high - low) * share) for low, high in pairs))
