"""A render as a picture: its spectrogram, and the lanes asked for with what was measured drawn over them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter, QPen, QPolygonF

from synth.dsp.framing import centred_windows
from synth.errors import UserError
from synth.spec import HOP_S, SAMPLE_RATE_HZ, ControlFrames, Float32Array, lane, n_frames_for

PICTURED_LANES = ("pitch", "loudness", "breathiness", "roughness", "fry", "tension")
_WIDTH = 1600
_MARGIN = 24
_LABEL_WIDTH = 150
_TITLE_HEIGHT = 34
_SPECTROGRAM_HEIGHT = 300
_LANE_HEIGHT = 104
_GAP = 10
_BACKGROUND = QColor("#15181e")
_PANEL = QColor("#1d222b")
_TEXT = QColor("#cfd6df")
_MEASURED = QColor("#f4f1ea")
_FLOOR_DB = -90.0
_WINDOW_SAMPLES = 2048
_LOW_HZ, _HIGH_HZ = 60.0, 16_000.0


@dataclass(frozen=True, slots=True)
class _Panel:
    """Where a curve is drawn: seconds across, lane units up."""

    area: QRectF
    duration_s: float
    low: float
    high: float

    def at(self, t_s: float, value: float) -> QPointF:
        across = t_s / self.duration_s
        up = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return QPointF(self.area.left() + across * self.area.width(), self.area.bottom() - up * self.area.height())


def draw_picture(
    path: Path, title: str, audio_mono: Float32Array, asked: ControlFrames, measured: Mapping[str, Float32Array]
) -> None:
    """Write a PNG. audio_mono [n_samples] at 48 kHz; measured: lane id -> [n_frames]. Raises UserError."""
    application = _application()
    height = _MARGIN * 2 + _TITLE_HEIGHT + _SPECTROGRAM_HEIGHT + len(PICTURED_LANES) * (_LANE_HEIGHT + _GAP)
    image = QImage(_WIDTH, height, QImage.Format.Format_RGB32)
    image.fill(_BACKGROUND)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(QFont(application.font().family(), 11))
    painter.setPen(_TEXT)
    painter.drawText(QPointF(_MARGIN, _MARGIN + 14), f"{title}    coloured: asked    white: measured in the sound")
    left = _MARGIN + _LABEL_WIDTH
    width = _WIDTH - left - _MARGIN
    top = float(_MARGIN + _TITLE_HEIGHT)
    _label(painter, top, "Spectrogram", f"{_LOW_HZ:.0f} Hz - {_HIGH_HZ / 1000:.0f} kHz")
    painter.drawImage(QRectF(left, top, width, _SPECTROGRAM_HEIGHT), spectrogram_image(audio_mono))
    top += _SPECTROGRAM_HEIGHT + _GAP
    duration_s = n_frames_for(len(audio_mono)) * HOP_S
    for lane_id in PICTURED_LANES:
        low, high = _shown_range(lane_id, asked.values[lane_id], asked.values["presence"])
        panel = _Panel(QRectF(left, top, width, _LANE_HEIGHT), duration_s, low, high)
        painter.fillRect(panel.area, _PANEL)
        spec = lane(lane_id)
        _label(painter, top, spec.title, f"{low:g} - {high:g} {spec.unit}")
        sung = asked.values["presence"] > 0.0
        _draw_curve(painter, panel, np.where(sung, asked.values[lane_id], np.nan), QPen(QColor(spec.colour), 5.0))
        heard = np.where(measured["presence"] > 0.0, measured[lane_id], np.nan)
        _draw_curve(painter, panel, heard, QPen(_MEASURED, 1.6))
        top += _LANE_HEIGHT + _GAP
    painter.end()
    # The stubs want bytes for the format, which PySide6 does not take.
    if not image.save(str(path), "PNG"):  # pyright: ignore[reportCallIssue, reportArgumentType]
        raise UserError(f"The picture {path} cannot be written.", remedy="Choose a folder you may write to.")


def spectrogram_image(audio_mono: Float32Array) -> QImage:
    """Level over time and (logarithmic) frequency, 0 to _FLOOR_DB below the loudest point."""
    n_frames = n_frames_for(len(audio_mono))
    windows = centred_windows(audio_mono, n_frames, SAMPLE_RATE_HZ, _WINDOW_SAMPLES)
    magnitude = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW_SAMPLES), axis=1))
    rows_hz = np.geomspace(_HIGH_HZ, _LOW_HZ, _SPECTROGRAM_HEIGHT)
    bins = np.clip(np.round(rows_hz * _WINDOW_SAMPLES / SAMPLE_RATE_HZ).astype(int), 0, magnitude.shape[1] - 1)
    level_db = 20.0 * np.log10(magnitude[:, bins].T / max(float(magnitude.max()), 1e-9) + 1e-9)
    shade = np.clip(1.0 - level_db / _FLOOR_DB, 0.0, 1.0)
    # Dark blue, violet, orange, pale: even steps of lightness, legible in grey as well.
    stops = np.array([[21, 24, 30], [58, 42, 98], [178, 62, 88], [240, 150, 70], [250, 240, 215]], dtype=np.float64)
    position = shade * (len(stops) - 1)
    grid = np.arange(len(stops))
    colours = np.stack([np.interp(position, grid, stops[:, channel]) for channel in range(3)], axis=-1)
    pixels = np.ascontiguousarray(colours.astype(np.uint8))
    height, width, _ = pixels.shape
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _application() -> QGuiApplication:
    """Fonts need an application; without a display, one that draws into memory."""
    running = QGuiApplication.instance()
    if isinstance(running, QGuiApplication):
        return running
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QGuiApplication(["stridor"])


def _label(painter: QPainter, top: float, title: str, span: str) -> None:
    painter.setPen(_TEXT)
    painter.drawText(QRectF(_MARGIN, top, _LABEL_WIDTH - 12, 22), Qt.AlignmentFlag.AlignLeft, title)
    painter.setPen(_TEXT.darker(150))
    painter.drawText(QRectF(_MARGIN, top + 22, _LABEL_WIDTH - 12, 22), Qt.AlignmentFlag.AlignLeft, span)


def _shown_range(lane_id: str, values: Float32Array, presence: Float32Array) -> tuple[float, float]:
    """The lane's range; for pitch, where it is sung and a third around it."""
    spec = lane(lane_id)
    sung = values[presence > 0.0]
    if lane_id != "pitch" or not len(sung):
        return spec.minimum, spec.maximum
    return float(np.floor(sung.min())) - 4.0, float(np.ceil(sung.max())) + 4.0


def _draw_curve(painter: QPainter, panel: _Panel, values: Sequence[float] | np.ndarray, pen: QPen) -> None:
    """Draw the stretches of `values`, one a frame, that are known."""
    painter.setPen(pen)
    known = np.isfinite(np.asarray(values, dtype=np.float64))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        points = [panel.at((i + 0.5) * HOP_S, float(values[i])) for i in range(int(start), int(stop))]
        painter.drawPolyline(QPolygonF(points))
