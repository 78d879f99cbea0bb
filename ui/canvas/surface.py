"""A strip one edits: mouse and keys become pointers for the tool, its outcome an edit of the document."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from synth.spec import LaneSpec
from ui.canvas.context import CanvasContext
from ui.canvas.curves import curve_polygons
from ui.canvas.strip import Strip
from ui.canvas.view import ValueView
from ui.formats import value_label
from ui.theme import with_alpha
from ui.tools.model import Pointer, Preview, Scene, Selection
from ui.tools.toolbox import ToolName, make_tool

_EDGE_PX = 6.0
_CURSORS = {
    ToolName.PEN: Qt.CursorShape.CrossCursor,
    ToolName.LINE: Qt.CursorShape.CrossCursor,
    ToolName.ERASE: Qt.CursorShape.PointingHandCursor,
    ToolName.SELECT: Qt.CursorShape.ArrowCursor,
    ToolName.NOTE: Qt.CursorShape.CrossCursor,
}


class EditSurface(Strip):
    """Common to lanes and roll. Right button erases whatever the tool is. Escape calls a gesture off."""

    in_roll = False

    def __init__(self, context: CanvasContext, spec: LaneSpec, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self.spec = spec
        self.hover: Pointer | None = None
        self._tool = make_tool(context.tools.name, in_roll=self.in_roll)
        self._is_down = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        context.tools.changed.connect(self._take_tool)
        context.document.changed.connect(self.invalidate)
        context.document.voice_chosen.connect(self.invalidate)
        context.document.selection_changed.connect(self.invalidate)
        context.measured.changed.connect(self.invalidate)
        context.measured.stretch_changed.connect(self.invalidate_stretch)
        context.asked.changed.connect(self.follow_asked)
        self._take_tool()

    def scale(self) -> ValueView:
        """The vertical scale in force."""
        raise NotImplementedError

    @property
    def preview(self) -> Preview:
        """What the gesture under way shows."""
        return self._tool.preview if self._is_down else Preview()

    def scene(self) -> Scene:
        """What a gesture starts from."""
        document, view = self.context.document, self.context.axis.view
        drawn = document.voice.lanes.get(self.spec.id)
        return Scene(
            lane_id=self.spec.id,
            minimum=self.spec.minimum,
            maximum=self.spec.maximum,
            duration_s=document.passage.duration_s,
            points=drawn.points if drawn is not None else (),
            notes=document.voice.notes if self.in_roll else (),
            snap=self.context.snap(),
            value_step=1.0 if self.spec.id in ("pitch", "bend") else 0.0,
            selection=document.selection,
            edge_s=_EDGE_PX / view.px_per_s,
            in_roll=self.in_roll,
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._is_down:
            return
        if event.button() == Qt.MouseButton.RightButton:
            self._tool = make_tool(ToolName.ERASE, in_roll=self.in_roll)
        elif event.button() != Qt.MouseButton.LeftButton:
            return
        self._is_down = True
        self._tool.press(self._pointer(event), self.scene())
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hover = self._pointer(event)
        if self._is_down:
            self._tool.move(self.hover)
        self.context.tools.readout.emit(self.readout(self.hover))
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if not self._is_down:
            return
        self._is_down = False
        outcome = self._tool.release(self._pointer(event))
        self._take_tool()
        document = self.context.document
        if isinstance(outcome, Selection):
            document.select(outcome if outcome.end_s > outcome.start_s else None)
        elif outcome is not None:
            document.apply(outcome)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self.hover = None
        self.context.tools.readout.emit("")
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        document = self.context.document
        coarse = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.key() == Qt.Key.Key_Escape:
            if self._is_down:
                self._tool.cancel()
                self._is_down = False
            else:
                document.select(None)
            self.update()
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            sign = 1 if event.key() == Qt.Key.Key_Up else -1
            document.nudge(self.spec, sign, coarse=coarse, at_s=self.context.playhead.position_s)
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            sign = 1 if event.key() == Qt.Key.Key_Right else -1
            step_s = self.context.snap(enabled=True).step_s * (10 if coarse else 1)
            self.context.playhead.seek(self.context.playhead.position_s + sign * step_s)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.context.document.active_lane_id = self.spec.id
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def follow_asked(self) -> None:
        """Resolved values have changed."""
        self.invalidate()

    def readout(self, at: Pointer) -> str:
        """What the status line says of the pointer."""
        value = self.spec.clamp(at.value)
        return f"{self.spec.title}   {value_label(self.spec, value)}   at {max(at.t_s, 0.0):.3f} s"

    def paint_overlay(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, view, height = self.context.theme.colours, self.context.axis.view, self.height()
        preview = self.preview
        if preview.curve:
            self._paint_stroke(painter, preview)
        if preview.erased_s is not None:
            left, right = (view.x_of(t_s) for t_s in preview.erased_s)
            painter.fillRect(QRectF(left - 1, 0, right - left + 2, height), with_alpha(colours.danger, 0.22))
        if preview.band is not None:
            start_s, low, end_s, high = preview.band
            scale = self.scale()
            corner = QPointF(view.x_of(start_s), scale.y_of(high))
            band = QRectF(corner, QPointF(view.x_of(end_s), scale.y_of(low)))
            if not self.in_roll:
                band.setTop(0)
                band.setBottom(height)
            painter.setPen(QPen(QColor(colours.selection), 1, Qt.PenStyle.DashLine))
            painter.setBrush(with_alpha(colours.selection, 0.15))
            painter.drawRect(band)
        if self.hover is not None:
            painter.setPen(QPen(with_alpha(colours.text_dim, 0.45), 1))
            x = int(view.x_of(self.hover.t_s))
            painter.drawLine(x, 0, x, height)
        if self.hasFocus():
            painter.fillRect(0, 0, 2, height, QColor(colours.accent))

    def paint_selection(self, painter: QPainter) -> None:
        """The selected stretch of this lane."""
        selection = self.context.document.selection
        if selection is None or selection.lane_id != self.spec.id or selection.notes:
            return
        view, colours = self.context.axis.view, self.context.theme.colours
        left, right = view.x_of(selection.start_s), view.x_of(selection.end_s)
        painter.fillRect(QRectF(left, 0, right - left, self.height()), with_alpha(colours.selection, 0.16))
        for x in (left, right):
            painter.fillRect(QRectF(x, 0, 1, self.height()), with_alpha(colours.selection, 0.8))

    def _paint_stroke(self, painter: QPainter, preview: Preview) -> None:
        view = self.context.axis.view
        points = np.array(preview.curve, dtype=np.float64)
        left, right = view.x_of(points[0, 0]), view.x_of(points[-1, 0])
        # The stretch being replaced fades, so that only the new stroke reads as the curve.
        painter.fillRect(
            QRectF(left, 0, max(right - left, 1), self.height()), with_alpha(self.context.theme.colours.canvas, 0.66)
        )
        colour = self.context.theme.lane_colour(self.spec.colour)
        painter.setPen(QPen(colour, 2.4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
        if len(points) == 1:
            painter.drawPoint(QPointF(left, self.scale().y_of(points[0, 1])))
        for line in curve_polygons(points[:, 0], points[:, 1], view, self.scale()):
            painter.drawPolyline(line)

    def _take_tool(self) -> None:
        if not self._is_down:
            self._tool = make_tool(self.context.tools.name, in_roll=self.in_roll)
            self.setCursor(_CURSORS[self.context.tools.name])

    def _pointer(self, event: QMouseEvent) -> Pointer:
        position, modifiers = event.position(), event.modifiers()
        return Pointer(
            self.context.axis.view.t_of(position.x()),
            self.scale().value_of(position.y()),
            shift=bool(modifiers & Qt.KeyboardModifier.ShiftModifier),
            control=bool(modifiers & Qt.KeyboardModifier.ControlModifier),
            alt=bool(modifiers & Qt.KeyboardModifier.AltModifier),
        )
