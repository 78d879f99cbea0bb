"""What is drawn in the wizard: a recording with its segments and lanes, curves of a training, spectrograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.services.adapting import ENVELOPE_RATE_HZ, FoundRecording
from synth.spec import Float32Array, lane
from ui.canvas.spectrum import N_ROWS, tile_levels
from ui.theme import Theme, ui_font, with_alpha

_HOP_S = 0.01
_LOUDEST_SHOWN = 0.25  # RMS at which the drawn waveform fills its height


class Drawing(QWidget):
    """A rounded, painted rectangle that follows the theme."""

    def __init__(self, theme: Theme, title: str) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(title)
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.theme.colours.canvas))
        painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        self.paint(painter)
        painter.end()

    def paint(self, painter: QPainter) -> None:
        """On the ground that is there."""
        raise NotImplementedError

    def write(self, painter: QPainter, box: QRectF, text: str, where: Qt.AlignmentFlag, colour: str = "") -> None:
        """Small words."""
        painter.setFont(ui_font(size_px=10))
        painter.setPen(QColor(colour or self.theme.colours.text_dim))
        painter.drawText(box, where, text)


class RecordingView(Drawing):
    """Level over time, what can be learnt from, and the lanes that were measured."""

    def __init__(self, theme: Theme, found: FoundRecording) -> None:
        super().__init__(theme, f"{found.name}: level, segments and lanes")
        self._found = found
        self.setFixedHeight(72)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        used = ", ".join(f"{s.start_s:.1f}-{s.end_s:.1f} s {s.technique}".strip() for s in found.segments[:12])
        self.setToolTip(f"Learnt from: {used}{' …' if len(found.segments) > 12 else ''}" if used else "")

    def paint(self, painter: QPainter) -> None:
        found, colours = self._found, self.theme.colours
        if found.envelope is None or not len(found.envelope):
            return
        width, height = float(self.width()), float(self.height())
        px_per_s = width / max(found.duration_s, 1e-3)
        for segment in found.segments:
            box = QRectF(segment.start_s * px_per_s, 0, (segment.end_s - segment.start_s) * px_per_s - 1.0, height)
            painter.fillRect(box, with_alpha(colours.accent, 0.14))
            painter.fillRect(QRectF(box.left(), height - 3, box.width(), 3), QColor(colours.accent))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(with_alpha(colours.text_faint, 0.55))
        level = np.sqrt(np.minimum(found.envelope / _LOUDEST_SHOWN, 1.0))
        step = max(int(len(level) / max(width, 1.0)), 1)
        level = np.maximum.reduceat(level, np.arange(0, len(level), step))
        x = (np.arange(len(level)) + 0.5) * width / len(level)
        half = 0.46 * height * level
        outline = np.concatenate(
            [np.stack([x, 0.5 * height - half]), np.stack([x, 0.5 * height + half])[:, ::-1]], axis=1
        )
        painter.drawPolygon(_polygon(outline))
        for name, values in found.lanes.items():
            self._paint_lane(painter, name, values, px_per_s)

    def _paint_lane(self, painter: QPainter, name: str, values: Float32Array, px_per_s: float) -> None:
        spec = lane(name)
        painter.setPen(QPen(self.theme.lane_colour(spec.colour), 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        share = (values - spec.minimum) / (spec.maximum - spec.minimum)
        y = self.height() - 6.0 - np.clip(share, 0.0, 1.0) * (self.height() - 12.0)
        x = (np.arange(len(values)) + 0.5) / ENVELOPE_RATE_HZ * px_per_s
        known = np.isfinite(y)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
        for first, end in edges.reshape(-1, 2):
            painter.drawPolyline(_polygon(np.stack([x[first:end], y[first:end]])))


class CurveView(Drawing):
    """Figures of a training against its share that is done; each curve over a range of its own.

    Of every curve less is better. Points are joined; the newest value is written beside the name.
    """

    def __init__(self, theme: Theme, curves: Mapping[str, str]) -> None:
        """curves   name -> name of a colour of the theme"""
        super().__init__(theme, f"Training curves: {', '.join(curves)}")
        self._curves = dict(curves)
        self.points: dict[str, list[tuple[float, float]]] = {name: [] for name in curves}
        self.setMinimumHeight(110)

    def add(self, name: str, done: float, value: float) -> None:
        """One more point; NaN is passed over."""
        if math.isfinite(value):
            self.points[name].append((done, value))
            self.update()

    def clear(self) -> None:
        """Begin again."""
        for points in self.points.values():
            points.clear()
        self.update()

    def paint(self, painter: QPainter) -> None:
        colours = self.theme.colours
        box = QRectF(self.rect()).adjusted(10, 22, -10, -8)
        painter.setPen(QPen(QColor(colours.grid_major), 1))
        for quarter in range(5):
            y = box.top() + box.height() * quarter / 4
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        x = 12.0
        for name, colour in self._curves.items():
            shade, points = getattr(colours, colour), self.points[name]
            newest = f"{name} {points[-1][1]:.3g}" if points else name
            self.write(painter, QRectF(x, 3, 200, 16), newest, Qt.AlignmentFlag.AlignVCenter, shade)
            x += painter.fontMetrics().horizontalAdvance(newest) + 22
            self._paint_curve(painter, box, points, shade)

    @staticmethod
    def _paint_curve(painter: QPainter, box: QRectF, points: Sequence[tuple[float, float]], colour: str) -> None:
        if not points:
            return
        low, high = min(v for _, v in points), max(v for _, v in points)
        span = max(high - low, 1e-9)
        left, width, bottom, height = box.left(), box.width(), box.bottom(), box.height()
        placed = [
            QPointF(left + min(done, 1.0) * width, bottom - (0.06 + 0.88 * (value - low) / span) * height)
            for done, value in points
        ]
        painter.setPen(QPen(QColor(colour), 1.6))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(placed))
        painter.setBrush(QColor(colour))
        painter.drawEllipse(placed[-1], 3, 3)


class SpectrogramView(Drawing):
    """A short sound's spectrogram, 50 Hz to 16 kHz, log frequency."""

    def __init__(self, theme: Theme, title: str) -> None:
        super().__init__(theme, f"Spectrogram: {title}")
        self._title = title
        self._image: QImage | None = None
        self.setMinimumHeight(92)

    def sizeHint(self) -> QSize:
        return QSize(220, 110)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see yet."""
        return self._image is None

    def show_sound(self, audio: Float32Array | None) -> None:
        """Mono samples [n] at 48 kHz; None: nothing."""
        self._image = None
        if audio is not None and len(audio):
            levels = tile_levels(audio[:, None], 0, max(len(audio) // 480, 1))
            ramp = _magma()[levels]
            held = np.ascontiguousarray(ramp)
            self._image = QImage(
                held.data, held.shape[1], N_ROWS, held.shape[1] * 3, QImage.Format.Format_RGB888
            ).copy()  # fmt: skip
        self.update()

    def paint(self, painter: QPainter) -> None:
        if self._image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRectF(self.rect()).adjusted(1, 1, -1, -1), self._image)
        centre = Qt.AlignmentFlag.AlignCenter
        if self._image is None:
            self.write(painter, QRectF(self.rect()), f"{self._title}: not sung yet", centre)


def _magma() -> np.ndarray:
    """Dark to light through purple and orange, [256, 3] uint8."""
    stops = np.array([[4, 4, 16], [60, 15, 110], [150, 44, 128], [230, 85, 90], [254, 170, 110], [252, 250, 190]])
    at = np.linspace(0, len(stops) - 1, 256)
    columns = [np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    return np.stack(columns, axis=1).astype(np.uint8)


def _polygon(points: np.ndarray) -> QPolygonF:
    """[2, n] -> a polygon."""
    return QPolygonF([QPointF(float(x), float(y)) for x, y in points.T])
