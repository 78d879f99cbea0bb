"""One lane: what is asked, what came out."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from synth.spec import LaneSpec
from ui.canvas.context import CanvasContext
from ui.canvas.curves import Float64Array, curve_polygons, paint_curve, step_points, visible_slice
from ui.canvas.surface import EditSurface
from ui.canvas.view import ValueView
from ui.formats import value_label
from ui.theme import ui_font, with_alpha

_PADDING_PX = 7.0
_DOT_SPACING_PX = 14.0
_SMOOTH_STEP_PX = 3


def drawn_curve(context: CanvasContext, lane_id: str) -> tuple[Float64Array, Float64Array] | None:
    """The drawn curve of a lane over the visible stretch, held flat beyond its ends; None when not drawn."""
    lane = context.document.voice.lanes.get(lane_id)
    if lane is None:
        return None
    view = context.axis.view
    end_s = max(context.axis.duration_s, lane.last_s)
    t_s, values = context.document.lane_arrays(lane_id)
    if lane.interpolation == "smooth":
        times = np.linspace(max(view.start_s, 0.0), min(view.end_s, end_s), max(view.width_px // _SMOOTH_STEP_PX, 2))
        return times, lane.at_times(times).astype(np.float64)
    if lane.interpolation == "step":
        t_s, values = step_points(t_s, values)
    return np.concatenate(([0.0], t_s, [end_s])), np.concatenate((values[:1], values, values[-1:]))


class LaneView(EditSurface):
    """Asked curve in the lane's colour, measured curve thin under it, the default faint when undrawn."""

    def __init__(self, context: CanvasContext, spec: LaneSpec, parent: QWidget | None = None) -> None:
        super().__init__(context, spec, parent)
        self.setAccessibleName(f"{spec.title} lane")
        self.setAccessibleDescription(f"Heard as {spec.heard_as}; measured as {spec.measured_as}.")

    def scale(self) -> ValueView:
        return ValueView(self.spec.minimum, self.spec.maximum, self.height(), _PADDING_PX)

    def paint_ground(self, painter: QPainter) -> None:
        self._paint_levels(painter)
        self.paint_grid(painter)
        self.paint_selection(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_measured(painter)
        drawn = drawn_curve(self.context, self.spec.id)
        if drawn is None:
            self._paint_default(painter)
        else:
            self._paint_asked(painter, *drawn)
            self._paint_dots(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(self.context.theme.colours.border))

    def paint_overlay(self, painter: QPainter) -> None:
        super().paint_overlay(painter)
        if self.hover is None or self.height() < 40:
            return
        text = value_label(self.spec, self.spec.clamp(self.hover.value))
        painter.setFont(ui_font(size_px=11))
        width = painter.fontMetrics().horizontalAdvance(text) + 12
        x = self.context.axis.view.x_of(self.hover.t_s) + 10
        if x + width > self.width():
            x -= width + 20
        y = min(max(self.scale().y_of(self.hover.value) - 22, 2), self.height() - 22)
        colours = self.context.theme.colours
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(with_alpha(colours.raised, 0.94))
        painter.drawRoundedRect(QRectF(x, y, width, 18), 5, 5)
        painter.setPen(QColor(colours.text))
        painter.drawText(QRectF(x, y, width, 18), Qt.AlignmentFlag.AlignCenter, text)

    def _paint_levels(self, painter: QPainter) -> None:
        colours, scale = self.context.theme.colours, self.scale()
        middle = 0.0 if self.spec.additive else (self.spec.minimum + self.spec.maximum) / 2
        for value, strong in ((self.spec.maximum, False), (middle, self.spec.additive), (self.spec.minimum, False)):
            painter.fillRect(
                0,
                round(scale.y_of(value)),
                self.width(),
                1,
                QColor(colours.grid_major if strong else colours.grid_minor),
            )

    def _paint_asked(self, painter: QPainter, t_s: Float64Array, values: Float64Array) -> None:
        colour = self.context.theme.lane_colour(self.spec.colour)
        base_y = self.scale().y_of(0.0 if self.spec.additive else self.spec.minimum)
        for line in curve_polygons(t_s, values, self.context.axis.view, self.scale()):
            if line.isEmpty():
                continue
            area = QPolygonF(line)
            area.append(QPointF(line.last().x(), base_y))
            area.append(QPointF(line.first().x(), base_y))
            fill = QColor(colour)
            fill.setAlphaF(0.13)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.drawPolygon(area)
            paint_curve(painter, [line], colour, 1.8)

    def _paint_dots(self, painter: QPainter) -> None:
        t_s, values = self.context.document.lane_arrays(self.spec.id)
        view = self.context.axis.view
        part = visible_slice(t_s, view)
        count = part.stop - part.start
        if count == 0 or count * _DOT_SPACING_PX > view.width_px:
            return
        colour = self.context.theme.lane_colour(self.spec.colour)
        painter.setPen(QPen(colour, 1.4))
        painter.setBrush(QColor(self.context.theme.colours.canvas))
        scale = self.scale()
        for index in range(part.start, part.stop):
            painter.drawEllipse(QPointF(view.x_of(t_s[index]), scale.y_of(values[index])), 2.6, 2.6)

    def _paint_measured(self, painter: QPainter) -> None:
        document = self.context.document
        measured = self.context.measured.curve(document.voice_index, self.spec.id)
        if measured is None:
            return
        t_s, values = (np.asarray(part, dtype=np.float64) for part in measured)
        clamped = np.clip(values, self.spec.minimum, self.spec.maximum)
        lines = curve_polygons(t_s, clamped, self.context.axis.view, self.scale())
        paint_curve(painter, lines, QColor(self.context.theme.colours.measured), 1.0)

    def _paint_default(self, painter: QPainter) -> None:
        asked = self.context.asked
        colour = self.context.theme.lane_colour(self.spec.colour)
        colour.setAlphaF(0.55)
        values = asked.values(self.spec.id).astype(np.float64)
        paint_curve(painter, curve_polygons(asked.times_s(), values, self.context.axis.view, self.scale()), colour, 1.2)

    def follow_asked(self) -> None:
        if self.spec.id not in self.context.document.voice.lanes:
            self.invalidate()
