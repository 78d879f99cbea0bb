"""The rendered sound as a waveform; only the changed stretch is summarised anew."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QWidget

from synth.spec import SAMPLE_RATE_HZ, Float32Array
from ui.canvas.context import CanvasContext
from ui.canvas.curves import polygon
from ui.canvas.strip import Strip
from ui.theme import ui_font

BUCKET_SAMPLES = 480
_LARGEST_BITE_BUCKETS = 2000  # summarised in one turn of the event loop


class PeakSummary:
    """Lowest and highest sample of every bucket of BUCKET_SAMPLES, [n_buckets] each."""

    def __init__(self) -> None:
        self.low = np.zeros(0, dtype=np.float32)
        self.high = np.zeros(0, dtype=np.float32)

    def resize(self, n_samples: int) -> None:
        """Cover this many samples; what was known stays."""
        n_buckets = -(-n_samples // BUCKET_SAMPLES)
        kept = min(n_buckets, len(self.low))
        for name in ("low", "high"):
            grown = np.zeros(n_buckets, dtype=np.float32)
            grown[:kept] = getattr(self, name)[:kept]
            setattr(self, name, grown)

    def update(self, audio: Float32Array, first: int, last: int) -> None:
        """Summarise buckets [first, last) of audio [n_samples, n_channels] anew."""
        last = min(last, len(self.low))
        if first >= last:
            return
        part = np.asarray(audio[first * BUCKET_SAMPLES : last * BUCKET_SAMPLES]).mean(axis=1)
        padded = np.zeros((last - first) * BUCKET_SAMPLES, dtype=np.float32)
        padded[: len(part)] = part
        buckets = padded.reshape(last - first, BUCKET_SAMPLES)
        self.low[first:last] = buckets.min(axis=1)
        self.high[first:last] = buckets.max(axis=1)


class WaveformView(Strip):
    """Drawn from the summary, a bucket or several to the pixel; from samples when zoomed in further."""

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self._summary = PeakSummary()
        self._audio: Float32Array = np.zeros((0, 2), dtype=np.float32)
        self._stale: list[tuple[int, int]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._summarise_some)
        self.setMinimumHeight(40)
        self.setAccessibleName("Waveform of the result")

    def show_audio(self, audio: Float32Array, start_s: float, end_s: float) -> None:
        """Take up a render's samples; [start_s, end_s) differs from what was shown. Returns at once."""
        if len(audio) != len(self._audio):
            self._summary.resize(len(audio))
            self.invalidate()
        self._audio = audio
        first = int(start_s * SAMPLE_RATE_HZ) // BUCKET_SAMPLES
        last = -(-int(end_s * SAMPLE_RATE_HZ) // BUCKET_SAMPLES)
        for begin in range(first, last, _LARGEST_BITE_BUCKETS):
            self._stale.append((begin, min(begin + _LARGEST_BITE_BUCKETS, last)))
        self._timer.start()

    def _summarise_some(self) -> None:
        if self._stale:
            first, last = self._stale.pop(0)
            self._summary.update(self._audio, first, last)
            bucket_s = BUCKET_SAMPLES / SAMPLE_RATE_HZ
            self.invalidate_stretch(first * bucket_s, last * bucket_s)
        if self._stale:
            self._timer.start()

    def paint_ground(self, painter: QPainter) -> None:
        colours, view = self.context.theme.colours, self.context.axis.view
        self.paint_grid(painter)
        middle = self.height() / 2
        painter.fillRect(QRectF(0, middle, self.width(), 1), QColor(colours.grid_major))
        if len(self._audio) == 0:
            painter.setFont(ui_font(size_px=11))
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(
                QRectF(12, 0, 400, self.height()), Qt.AlignmentFlag.AlignVCenter, "The rendered sound appears here"
            )
            return
        gain = middle - 3
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.accent))
        samples_a_px = SAMPLE_RATE_HZ / view.px_per_s
        x_px, low, high = self._columns(samples_a_px)
        if len(x_px) < 2:
            return
        thin = 0.5
        top, bottom = middle - high * gain - thin, middle - low * gain + thin
        painter.drawPolygon(polygon(np.concatenate((x_px, x_px[::-1])), np.concatenate((top, bottom[::-1]))))
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(colours.border))

    def _columns(self, samples_a_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, lowest and highest for what is visible."""
        view = self.context.axis.view
        if samples_a_px < BUCKET_SAMPLES:
            first = max(int(view.start_s * SAMPLE_RATE_HZ), 0)
            last = min(int(view.end_s * SAMPLE_RATE_HZ) + 1, len(self._audio))
            if last <= first:
                return np.zeros(0), np.zeros(0), np.zeros(0)
            step = max(int(samples_a_px), 1)
            mono = np.asarray(self._audio[first:last], dtype=np.float64).mean(axis=1)
            starts = np.arange(0, len(mono), step)
            low, high = np.minimum.reduceat(mono, starts), np.maximum.reduceat(mono, starts)
            x_px = ((first + starts) / SAMPLE_RATE_HZ - view.start_s) * view.px_per_s
            return x_px, low, high
        per_s = SAMPLE_RATE_HZ / BUCKET_SAMPLES
        first, last = max(int(view.start_s * per_s), 0), min(int(view.end_s * per_s) + 2, len(self._summary.low))
        if last <= first:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        step = max(int(samples_a_px / BUCKET_SAMPLES), 1)
        first -= first % step  # the same buckets share a pixel whatever the scroll position: no shimmer
        starts = np.arange(0, last - first, step)
        low = np.minimum.reduceat(self._summary.low[first:last], starts).astype(np.float64)
        high = np.maximum.reduceat(self._summary.high[first:last], starts).astype(np.float64)
        x_px = ((first + starts) / per_s - view.start_s) * view.px_per_s
        return x_px, low, high
