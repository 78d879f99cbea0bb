"""The ruler: time, bars, playhead handle, loop."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPolygonF
from PySide6.QtWidgets import QWidget

from ui.canvas.context import CanvasContext
from ui.canvas.strip import Strip
from ui.theme import ui_font, with_alpha

RULER_HEIGHT_PX = 30
_DRAG_PX = 4
_GRIP_PX = 6


class Ruler(Strip):
    """Click to move the playhead; drag to loop a stretch; drag a loop's edge to change it; double click to unloop."""

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self.setFixedHeight(RULER_HEIGHT_PX)
        self.setAccessibleName("Ruler")
        self.setToolTip("Click: move the playhead. Drag: loop a stretch. Double click: no loop.")
        context.document.changed.connect(self.invalidate)
        self._press_x: float | None = None
        self._anchor_s = 0.0
        self._is_looping = False

    def paint_ground(self, painter: QPainter) -> None:
        colours, view = self.context.theme.colours, self.context.axis.view
        painter.fillRect(self.rect(), QColor(colours.panel))
        loop = self.context.playhead.loop
        if loop is not None:
            left, right = view.x_of(loop[0]), view.x_of(loop[1])
            painter.fillRect(QRectF(left, 0, right - left, self.height()), with_alpha(colours.accent, 0.30))
            for x in (left, right - 2):
                painter.fillRect(QRectF(x, 0, 2, self.height()), QColor(colours.accent))
        painter.setFont(ui_font(size_px=11))
        for tick in self.ticks():
            x = round(view.x_of(tick.t_s))
            top = self.height() - (10 if tick.is_major else 5)
            painter.fillRect(x, top, 1, self.height() - top, QColor(colours.text_faint))
            if tick.label:
                painter.setPen(QColor(colours.text_dim))
                painter.drawText(QPointF(x + 4, self.height() - 12), tick.label)
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(colours.border))

    def paint_overlay(self, painter: QPainter) -> None:
        x = int(self.context.axis.view.x_of(self.context.playhead.position_s)) + 0.5
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.context.theme.colours.playhead))
        base = self.height() - 1
        painter.drawPolygon(QPolygonF([QPointF(x - 6, base - 10), QPointF(x + 6, base - 10), QPointF(x, base)]))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        self._press_x, self._is_looping = x, False
        self._anchor_s = self._time(x)
        edge = self._loop_edge_at(x)
        if edge is not None:
            self._anchor_s, self._is_looping = edge, True

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._press_x is None:
            grip = self._loop_edge_at(x) is not None
            self.setCursor(Qt.CursorShape.SplitHCursor if grip else Qt.CursorShape.ArrowCursor)
            return
        if abs(x - self._press_x) >= _DRAG_PX:
            self._is_looping = True
        if self._is_looping:
            start_s, end_s = sorted((self._anchor_s, self._time(x)))
            if end_s > start_s:
                self.context.playhead.set_loop((start_s, end_s))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press_x is not None and not self._is_looping:
            self.context.playhead.seek(self._time(event.position().x()))
        self._press_x = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.context.playhead.set_loop(None)

    def scroll_vertically(self, delta: float) -> bool:
        self.context.axis.scroll(-delta * 0.12 * self.context.axis.view.span_s)
        return True

    def _on_playhead(self, before_s: float, after_s: float) -> None:
        view = self.context.axis.view
        for t_s in (before_s, after_s):
            self.update(int(view.x_of(t_s)) - 8, 0, 17, self.height())

    def _time(self, x_px: float) -> float:
        t_s = min(max(self.context.axis.view.t_of(x_px), 0.0), self.context.axis.duration_s)
        snap = self.context.snap()
        return max(snap.nearest_s(t_s), 0.0) if snap.enabled else t_s

    def _loop_edge_at(self, x_px: float) -> float | None:
        """The other end of the loop when an end is under the pointer."""
        loop = self.context.playhead.loop
        if loop is None:
            return None
        view = self.context.axis.view
        if abs(view.x_of(loop[0]) - x_px) <= _GRIP_PX:
            return loop[1]
        return loop[0] if abs(view.x_of(loop[1]) - x_px) <= _GRIP_PX else None
