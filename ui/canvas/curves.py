"""Curves as polylines: only what is visible, never more points than pixels can show."""

from __future__ import annotations

import numpy as np
import shiboken6
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from ui.canvas.view import TimeView, ValueView

Float64Array = NDArray[np.float64]
_POINTS_PER_PIXEL = 2.0
_DENSE_POINTS = 700


def visible_slice(t_s: Float64Array, view: TimeView) -> slice:
    """The points inside the view and one on either side, so that lines run off the edges."""
    first = int(np.searchsorted(t_s, view.start_s, side="left"))
    last = int(np.searchsorted(t_s, view.end_s, side="right"))
    return slice(max(first - 1, 0), min(last + 1, len(t_s)))


def decimated(x_px: Float64Array, y_px: Float64Array, width_px: int) -> tuple[Float64Array, Float64Array]:
    """First, lowest, highest and last point of every pixel column, when there are more points than that."""
    if len(x_px) <= _POINTS_PER_PIXEL * width_px:
        return x_px, y_px
    column = np.floor(x_px).astype(np.int64)
    starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    low = np.minimum.reduceat(y_px, starts)
    high = np.maximum.reduceat(y_px, starts)
    x_columns = column[starts].astype(np.float64) + 0.5
    return np.repeat(x_columns, 2), np.stack([low, high], axis=1).ravel()


def polygon(x_px: Float64Array, y_px: Float64Array) -> QPolygonF:
    """A polyline for QPainter, filled without a Python loop."""
    line = QPolygonF()
    n_points = len(x_px)
    if n_points == 0:
        return line
    line.resize(n_points)
    # shiboken's stubs know neither the size argument nor the buffer protocol of its pointers.
    memory = shiboken6.VoidPtr(line.data(), n_points * 2 * 8, True)  # pyright: ignore[reportCallIssue]
    points = np.frombuffer(memory, dtype=np.float64).reshape(n_points, 2)  # pyright: ignore
    points[:, 0] = x_px
    points[:, 1] = y_px
    return line


def step_points(t_s: Float64Array, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The corners of a curve that holds each value until the next point."""
    if len(t_s) < 2:
        return t_s, values
    return np.repeat(t_s, 2)[1:], np.repeat(values, 2)[:-1]


def curve_polygons(t_s: Float64Array, values: Float64Array, view: TimeView, scale: ValueView) -> list[QPolygonF]:
    """Visible parts of a curve as polylines; NaN values are gaps."""
    part = visible_slice(t_s, view)
    x_px = (t_s[part] - view.start_s) * view.px_per_s
    y_px = scale.y_of(0.0) - values[part] * scale.px_per_unit
    known = np.isfinite(y_px)
    if known.all():
        return [polygon(*decimated(x_px, y_px, view.width_px))] if len(x_px) else []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
    lines = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        lines.append(polygon(*decimated(x_px[start:stop], y_px[start:stop], view.width_px)))
    return lines


def paint_curve(painter: QPainter, lines: list[QPolygonF], colour: QColor, width_px: float) -> None:
    """Draw polylines: smooth and `width_px` wide, but plain one-pixel lines where points stand close.

    Qt's raster engine takes milliseconds for one wide smooth line of thousands of points, where it cannot be told
    from a plain one.
    """
    for line in lines:
        is_dense = line.size() > _DENSE_POINTS
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not is_dense)
        if is_dense:
            painter.setPen(QPen(colour, 1))
        else:
            round_cap, round_join = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
            painter.setPen(QPen(colour, width_px, Qt.PenStyle.SolidLine, round_cap, round_join))
        painter.drawPolyline(line)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
