"""Real mouse gestures on the strips, in seconds and values."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from ui.canvas.surface import EditSurface
from ui.window import MainWindow

_LEFT = Qt.MouseButton.LeftButton
_PLAIN = Qt.KeyboardModifier.NoModifier


def lane_of(window: MainWindow, lane_id: str) -> EditSurface:
    """The view of a lane, the roll for pitch."""
    if lane_id == "pitch":
        return window.timeline.roll
    row = window.timeline.stack.row(lane_id)
    assert row is not None
    return row.view


def at(surface: EditSurface, t_s: float, value: float) -> QPoint:
    """Where a time and a value lie in the view."""
    return QPoint(round(surface.context.axis.view.x_of(t_s)), round(surface.scale().y_of(value)))


def drag(
    surface: EditSurface,
    path: Sequence[tuple[float, float]],
    *,
    button: Qt.MouseButton = _LEFT,
    modifiers: Qt.KeyboardModifier = _PLAIN,
) -> None:
    """Press at the first place, move through the others, release at the last."""
    QTest.mousePress(surface, button, modifiers, at(surface, *path[0]))
    for place in path[1:]:
        QTest.mouseMove(surface, at(surface, *place))
    QTest.mouseRelease(surface, button, modifiers, at(surface, *path[-1]))
