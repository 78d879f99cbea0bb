"""The rendered sound as a spectrogram, in tiles computed beside the window's thread."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QObject, QRectF, QRunnable, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, qRgb
from PySide6.QtWidgets import QWidget

from synth.spec import HOP_S, HOP_SAMPLES, Float32Array
from ui.canvas.context import CanvasContext
from ui.canvas.spectrum import HIGHEST_HZ, LOWEST_HZ, N_ROWS, tile_levels
from ui.canvas.strip import Strip
from ui.theme import ui_font, with_alpha

TILE_FRAMES = 256
SETTLE_MS = 250
_REACH_FRAMES = 3  # a frame's window reaches this far to either side
_LABELS_HZ = ((100.0, "100 "), (1000.0, "1 k"), (10_000.0, "10 k"))
# sRGB anchors from silence to loud.
_DARK_RAMP = ((16, 18, 23), (34, 30, 74), (104, 42, 112), (196, 72, 84), (246, 152, 70), (255, 240, 190))
_LIGHT_RAMP = ((255, 255, 255), (222, 226, 246), (158, 150, 214), (160, 84, 160), (160, 40, 84), (60, 12, 40))


class _TileSignals(QObject):
    done = Signal(int, object)  # tile, levels


class _TileJob(QRunnable):
    """One tile of the samples as they are when its turn comes."""

    def __init__(self, audio: Float32Array, tile: int, signals: _TileSignals) -> None:
        super().__init__()
        self._audio, self._tile, self._signals = audio, tile, signals

    def run(self) -> None:
        levels = tile_levels(self._audio, self._tile * TILE_FRAMES, TILE_FRAMES)
        self._signals.done.emit(self._tile, levels)


class SpectrogramView(Strip):
    """Only visible tiles that are stale are computed; old pictures stay until the new ones are ready."""

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self._audio: Float32Array = np.zeros((0, 2), dtype=np.float32)
        self._tiles: dict[int, QImage] = {}
        self._stale: set[int] = set()
        self._running: set[int] = set()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)  # the sampler needs the other cores
        self._settle = QTimer(self)  # a render brings sound many times a second; a tile is worth drawing now and then
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._request_visible)
        self._signals = _TileSignals(self)
        self._signals.done.connect(self._take_tile)
        self._ramp = _colour_table(is_dark=context.theme.colours.is_dark)
        context.theme.changed.connect(self._recolour)
        context.axis.changed.connect(self._request_visible)
        self.setMinimumHeight(60)
        self.setAccessibleName("Spectrogram of the result")

    def show_audio(self, audio: Float32Array, start_s: float, end_s: float) -> None:
        """Take up a render's samples; [start_s, end_s) differs from what was shown. Returns at once."""
        self._audio = audio
        first = max(int(start_s / HOP_S) - _REACH_FRAMES, 0) // TILE_FRAMES
        last = (math.ceil(end_s / HOP_S) + _REACH_FRAMES) // TILE_FRAMES
        self._stale.update(range(first, last + 1))
        n_tiles = math.ceil(len(audio) / (TILE_FRAMES * HOP_SAMPLES))
        for tile in [tile for tile in self._tiles if tile >= n_tiles]:
            del self._tiles[tile]
        self._stale = {tile for tile in self._stale if tile < n_tiles}
        if not self._settle.isActive():
            self._settle.start()

    @property
    def is_busy(self) -> bool:
        """Whether tiles are being computed."""
        return bool(self._running) or self._settle.isActive()

    def finish(self) -> None:
        """Wait for the worker; before closing."""
        self._settle.stop()
        self._pool.clear()
        self._pool.waitForDone(2000)

    def paint_ground(self, painter: QPainter) -> None:
        view, colours = self.context.axis.view, self.context.theme.colours
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        tile_s = TILE_FRAMES * HOP_S
        for tile in self._visible():
            image = self._tiles.get(tile)
            if image is not None:
                left, right = view.x_of(tile * tile_s), view.x_of((tile + 1) * tile_s)
                painter.drawImage(QRectF(left, 0, right - left, self.height()), image)
        end_x = view.x_of(self.context.axis.duration_s)
        if end_x < self.width():
            painter.fillRect(QRectF(end_x, 0, self.width() - end_x, self.height()), QColor(colours.canvas))
        painter.setFont(ui_font(size_px=10))
        for frequency_hz, label in _LABELS_HZ:
            share = math.log(frequency_hz / LOWEST_HZ) / math.log(HIGHEST_HZ / LOWEST_HZ)
            y = self.height() * (1.0 - share)
            painter.fillRect(QRectF(0, y, self.width(), 1), with_alpha(colours.text_faint, 0.22))
            painter.setPen(QColor(colours.text_dim))
            tag = QRectF(4, min(max(y - 7, 1.0), self.height() - 15.0), 46, 14)
            painter.fillRect(tag, with_alpha(colours.canvas, 0.72))
            painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, f"{label}Hz")

    def _visible(self) -> range:
        view = self.context.axis.view
        tile_s = TILE_FRAMES * HOP_S
        return range(max(int(view.start_s / tile_s), 0), int(view.end_s / tile_s) + 1)

    def _request_visible(self) -> None:
        if not self.isVisible() and self._tiles:
            return
        for tile in self._visible():
            if tile in self._stale and tile not in self._running:
                self._running.add(tile)
                self._stale.discard(tile)
                self._pool.start(_TileJob(self._audio, tile, self._signals))

    def _take_tile(self, tile: int, levels: np.ndarray) -> None:
        self._running.discard(tile)
        image = QImage(levels.data, TILE_FRAMES, N_ROWS, TILE_FRAMES, QImage.Format.Format_Indexed8).copy()
        image.setColorTable(self._ramp)
        self._tiles[tile] = image
        if tile in self._stale:
            self._request_visible()
        self.invalidate_stretch(tile * TILE_FRAMES * HOP_S, (tile + 1) * TILE_FRAMES * HOP_S)

    def _recolour(self) -> None:
        self._ramp = _colour_table(is_dark=self.context.theme.colours.is_dark)
        for image in self._tiles.values():
            image.setColorTable(self._ramp)
        self.invalidate()


def _colour_table(*, is_dark: bool) -> list[int]:
    anchors = np.array(_DARK_RAMP if is_dark else _LIGHT_RAMP, dtype=np.float64)
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, anchors[:, channel]) for channel in range(3)]
    return [qRgb(int(red), int(green), int(blue)) for red, green, blue in zip(*channels, strict=True)]
