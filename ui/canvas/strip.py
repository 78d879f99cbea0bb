"""A widget along the time axis: cached ground, moving overlay, zoom and scroll."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from ui.canvas.axis import Tick, beat_ticks, second_ticks
from ui.canvas.context import CanvasContext
from ui.theme import with_alpha

_WHEEL_ZOOM = 1.18
_WHEEL_STEP = 120.0
_BESIDE_PX = 4  # lines reach a little beyond the samples they join
_SCROLL_SHARE = 0.12  # of the visible span, for one notch


class Strip(QWidget):
    """Paints `paint_ground` into a pixmap kept until something visible changes, then the overlay over it.

    Wheel: Ctrl zooms about the pointer, Shift scrolls sideways; plain goes to `scroll_vertically`, then sideways.
    """

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context
        self._ground: QPixmap | None = None
        self._stale_px: tuple[int, int] | None = None  # columns of the ground to paint anew
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        context.axis.changed.connect(self.invalidate)
        context.theme.changed.connect(self.invalidate)
        context.playhead.moved.connect(self._on_playhead)
        context.playhead.loop_changed.connect(self.invalidate)
        context.tools.changed.connect(self.invalidate)

    def invalidate(self) -> None:
        """The ground no longer shows the truth: paint it anew."""
        self._ground = None
        self.update()

    def invalidate_stretch(self, start_s: float, end_s: float) -> None:
        """As `invalidate`, for one stretch of time: cheap enough to follow a render."""
        view = self.context.axis.view
        left = max(int(view.x_of(start_s)) - _BESIDE_PX, 0)
        right = min(int(view.x_of(end_s)) + _BESIDE_PX, self.width())
        if left >= right or self._ground is None:
            return
        if self._stale_px is not None:
            left, right = min(left, self._stale_px[0]), max(right, self._stale_px[1])
        self._stale_px = (left, right)
        self.update(left, 0, right - left, self.height())

    def paint_ground(self, painter: QPainter) -> None:
        """What changes only with the passage, the view or the theme."""
        raise NotImplementedError

    def paint_overlay(self, painter: QPainter) -> None:
        """What moves with the pointer; nothing by default."""

    def scroll_vertically(self, delta: float) -> bool:
        """A plain wheel notch (1.0 = one notch up). -> whether it was used"""
        return False

    def zoom_vertically(self, factor: float, y_px: float) -> None:
        """Ctrl+Shift+wheel; nothing by default."""

    def paintEvent(self, event: QPaintEvent) -> None:
        with self.context.probe.paint():
            ground = self._fresh_ground()
            painter = QPainter(self)
            painter.drawPixmap(QPointF(0, 0), ground)
            self.paint_overlay(painter)
            self._paint_playhead(painter)
            painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._ground = None
        super().resizeEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        modifiers = event.modifiers()
        notches_x, notches_y = delta.x() / _WHEEL_STEP, delta.y() / _WHEEL_STEP
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            factor = _WHEEL_ZOOM ** (notches_y or notches_x)
            if modifiers & Qt.KeyboardModifier.ShiftModifier:
                self.zoom_vertically(factor, event.position().y())
            else:
                self.context.axis.zoom(factor, event.position().x())
        elif modifiers & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier) or notches_x:
            self.context.axis.scroll(-(notches_x or notches_y) * _SCROLL_SHARE * self.context.axis.view.span_s)
        elif not self.scroll_vertically(notches_y):
            event.ignore()
            return
        event.accept()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.context.axis.zoom(1.0 + event.value(), event.position().x())
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        axis = self.context.axis
        step_s = axis.view.span_s * _SCROLL_SHARE
        if event.key() == Qt.Key.Key_PageUp:
            axis.scroll(-6 * step_s)
        elif event.key() == Qt.Key.Key_PageDown:
            axis.scroll(6 * step_s)
        else:
            super().keyPressEvent(event)

    def ticks(self) -> list[Tick]:
        """Grid lines: bars and beats, or seconds."""
        if self.context.shows_beats:
            return beat_ticks(self.context.document.passage.tempo, self.context.axis.view)
        return second_ticks(self.context.axis.view)

    def paint_grid(self, painter: QPainter) -> None:
        """Vertical grid lines, the end of the passage and the loop."""
        colours, view = self.context.theme.colours, self.context.axis.view
        height = self.height()
        for tick in self.ticks():
            x = round(view.x_of(tick.t_s))
            painter.fillRect(
                QRect(x, 0, 1, height), QColor(colours.grid_major if tick.is_major else colours.grid_minor)
            )
        loop = self.context.playhead.loop
        if loop is not None:
            left, right = view.x_of(loop[0]), view.x_of(loop[1])
            painter.fillRect(QRectF(left, 0, right - left, height), with_alpha(colours.accent, 0.07))
        end_x = view.x_of(self.context.axis.duration_s)
        if end_x < self.width():
            painter.fillRect(QRectF(end_x, 0, self.width() - end_x, height), with_alpha(colours.text_faint, 0.13))
            painter.fillRect(QRectF(end_x, 0, 1, height), QColor(colours.border))

    def _fresh_ground(self) -> QPixmap:
        """The cached ground, with what is stale of it painted anew."""
        ground, stale = self._ground, self._stale_px
        self._stale_px = None
        is_whole = ground is None or ground.deviceIndependentSize().toSize() != self.size()
        if is_whole:
            ratio = self.devicePixelRatioF()
            ground = QPixmap(self.size() * ratio)
            ground.setDevicePixelRatio(ratio)
        assert ground is not None
        if is_whole or stale is not None:
            area = self.rect() if is_whole or stale is None else QRect(stale[0], 0, stale[1] - stale[0], self.height())
            painter = QPainter(ground)
            painter.setClipRect(area)
            painter.fillRect(area, QColor(self.context.theme.colours.canvas))
            self.paint_ground(painter)
            painter.end()
            self._ground = ground
        return ground

    def _paint_playhead(self, painter: QPainter) -> None:
        x = self.context.axis.view.x_of(self.context.playhead.position_s)
        if -1 <= x <= self.width() + 1:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(QPen(QColor(self.context.theme.colours.playhead), 1))
            painter.drawLine(int(x), 0, int(x), self.height())

    def _on_playhead(self, before_s: float, after_s: float) -> None:
        view = self.context.axis.view
        for t_s in (before_s, after_s):
            x = int(view.x_of(t_s))
            if -2 <= x <= self.width() + 2:
                self.update(x - 2, 0, 5, self.height())
