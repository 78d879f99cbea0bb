"""Icons drawn as paths, so that they take the theme's colours and any size."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

_SIZE_PX = 20
_DEVICE_PIXELS = 2
# Straight strokes on a 20 x 20 grid; each icon is a list of polylines.
_STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "pen": [[(4, 16), (5, 12.5), (13.5, 4), (16, 6.5), (7.5, 15), (4, 16)], [(11.5, 6), (14, 8.5)]],
    "line": [[(4, 15.5), (16, 4.5)]],
    "erase": [[(8, 16), (4, 12), (11.5, 4.5), (16, 9), (9, 16), (16, 16)], [(7.5, 8.5), (12, 13)]],
    "undo": [[(7.5, 4.5), (4, 8), (7.5, 11.5)], [(4, 8), (12, 8), (15, 10), (15.5, 13), (14, 15.5), (9, 15.5)]],
    "redo": [[(12.5, 4.5), (16, 8), (12.5, 11.5)], [(16, 8), (8, 8), (5, 10), (4.5, 13), (6, 15.5), (11, 15.5)]],
    "loop": [
        [(13, 2.5), (16, 5.5), (13, 8.5)],
        [(16, 5.5), (6, 5.5), (4, 7.5), (4, 10)],
        [(7, 17.5), (4, 14.5), (7, 11.5)],
        [(4, 14.5), (14, 14.5), (16, 12.5), (16, 10)],
    ],
    "follow": [[(10, 3), (10, 17)], [(3, 10), (7, 10)], [(13, 7), (16.5, 10), (13, 13)], [(12, 10), (16, 10)]],
    "fit": [
        [(3.5, 4), (3.5, 16)],
        [(16.5, 4), (16.5, 16)],
        [(6, 10), (14, 10)],
        [(8, 7.5), (5.7, 10), (8, 12.5)],
        [(12, 7.5), (14.3, 10), (12, 12.5)],
    ],
    "plus": [[(10, 4.5), (10, 15.5)], [(4.5, 10), (15.5, 10)]],
    "close": [[(5.5, 5.5), (14.5, 14.5)], [(14.5, 5.5), (5.5, 14.5)]],
    "down": [[(5.5, 8), (10, 12.5), (14.5, 8)]],
    "right": [[(8, 5.5), (12.5, 10), (8, 14.5)]],
    "lanes": [
        [(3, 6), (6, 4), (9, 7), (13, 3.5), (17, 6)],
        [(3, 11), (7, 10), (11, 12), (17, 9.5)],
        [(3, 16), (8, 15), (12, 16.5), (17, 15)],
    ],
    "snap": [[(3, 5), (17, 5)], [(3, 10), (17, 10)], [(3, 15), (17, 15)], [(6, 3), (6, 17)], [(14, 3), (14, 17)]],
    "panic": [[(10, 4), (10, 11.5)], [(10, 15), (10, 15.6)]],
    "performance": [
        [(3, 12), (5.5, 12), (7, 5), (9.5, 15.5), (12, 8), (13.5, 12), (17, 12)],
        [(3, 17), (17, 17)],
    ],
    "keyboard": [
        [(2.5, 5), (17.5, 5), (17.5, 15), (2.5, 15), (2.5, 5)],
        [(7.5, 10), (7.5, 15)],
        [(12.5, 10), (12.5, 15)],
        [(6.5, 5), (6.5, 10), (8.5, 10), (8.5, 5)],
        [(11.5, 5), (11.5, 10), (13.5, 10), (13.5, 5)],
    ],
    "panel": [[(3, 4), (17, 4), (17, 16), (3, 16), (3, 4)], [(12.5, 4), (12.5, 16)]],
    "menu": [[(4, 6), (16, 6)], [(4, 10), (16, 10)], [(4, 14), (16, 14)]],
}
_FILLED: dict[str, list[list[tuple[float, float]]]] = {
    "play": [[(6, 3.5), (16.5, 10), (6, 16.5)]],
    "pause": [[(5, 4), (8.4, 4), (8.4, 16), (5, 16)], [(11.6, 4), (15, 4), (15, 16), (11.6, 16)]],
    "stop": [[(5, 5), (15, 5), (15, 15), (5, 15)]],
    "start": [[(4, 4.5), (6, 4.5), (6, 15.5), (4, 15.5)], [(16, 4.5), (7.5, 10), (16, 15.5)]],
}


def icon(name: str, colour: str, checked_colour: str | None = None) -> QIcon:
    """The icon called `name`; `checked_colour` is used while a button is on. Raises KeyError for an unknown name."""
    drawn = QIcon()
    drawn.addPixmap(_pixmap(name, QColor(colour)), QIcon.Mode.Normal, QIcon.State.Off)
    drawn.addPixmap(_pixmap(name, QColor(checked_colour or colour)), QIcon.Mode.Normal, QIcon.State.On)
    faint = QColor(colour)
    faint.setAlphaF(0.35)
    drawn.addPixmap(_pixmap(name, faint), QIcon.Mode.Disabled, QIcon.State.Off)
    return drawn


def _pixmap(name: str, colour: QColor) -> QPixmap:
    pixmap = QPixmap(_SIZE_PX * _DEVICE_PIXELS, _SIZE_PX * _DEVICE_PIXELS)
    pixmap.setDevicePixelRatio(_DEVICE_PIXELS)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(colour, 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    if name in _FILLED:
        pen.setWidthF(1.0)
        painter.setPen(pen)
        painter.setBrush(colour)
        for corners in _FILLED[name]:
            painter.drawPolygon(_line(corners))
    else:
        painter.setPen(pen)
        _draw_strokes(painter, name, colour)
    painter.end()
    return pixmap


def _draw_strokes(painter: QPainter, name: str, colour: QColor) -> None:
    if name == "select":
        dashed = painter.pen()
        dashed.setDashPattern([2.0, 2.0])
        painter.setPen(dashed)
        painter.drawRect(QRectF(3.5, 4.5, 13, 11))
    elif name == "note":
        painter.setBrush(colour)
        painter.drawRoundedRect(QRectF(3, 11.5, 7, 3.4), 1.2, 1.2)
        painter.drawRoundedRect(QRectF(10, 5, 7, 3.4), 1.2, 1.2)
    elif name == "dice":
        painter.drawRoundedRect(QRectF(3.5, 3.5, 13, 13), 3, 3)
        painter.setBrush(colour)
        for x, y in ((7, 7), (13, 7), (10, 10), (7, 13), (13, 13)):
            painter.drawEllipse(QPointF(x, y), 0.7, 0.7)
    elif name == "record":
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(10, 10), 4.6, 4.6)
    elif name == "search":
        painter.drawEllipse(QPointF(8.5, 8.5), 4.5, 4.5)
        painter.drawLine(QPointF(12, 12), QPointF(16, 16))
    elif name == "gear":
        path = QPainterPath()
        path.addEllipse(QPointF(10, 10), 5.5, 5.5)
        path.addEllipse(QPointF(10, 10), 2.0, 2.0)
        painter.drawPath(path)
    else:
        for stroke in _STROKES[name]:
            painter.drawPolyline(_line(stroke))


def _line(corners: list[tuple[float, float]]) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y in corners])


def app_icon() -> QIcon:
    """The instrument's mark: a voice curve on a rounded square."""
    side = 128
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#1a2238"))
    painter.drawRoundedRect(QRectF(4, 4, 120, 120), 28, 28)
    path = QPainterPath(QPointF(22, 82))
    path.cubicTo(40, 82, 40, 34, 56, 34)
    path.cubicTo(74, 34, 66, 92, 84, 92)
    path.cubicTo(96, 92, 94, 56, 106, 50)
    painter.setPen(QPen(QColor("#ffb454"), 9, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
    painter.end()
    return QIcon(pixmap)
