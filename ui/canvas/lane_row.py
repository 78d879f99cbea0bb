"""A lane with its header: name, unit, range, value under the pointer, error, collapse, height."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from app.state.edits import set_interpolation
from app.state.passage import INTERPOLATIONS, Interpolation
from synth.spec import LaneSpec
from ui.canvas.context import CanvasContext
from ui.canvas.lane_view import LaneView
from ui.formats import error_label, range_label, value_label
from ui.icons import icon
from ui.measured import lane_error
from ui.styled import label, styled

GUTTER_WIDTH_PX = 216
COLLAPSED_HEIGHT_PX = 24
DEFAULT_HEIGHT_PX = 92
LOWEST_HEIGHT_PX = 54
_HIGHEST_HEIGHT_PX = 420
_HANDLE_PX = 5


class Swatch(QWidget):
    """A dot in the lane's colour; hollow while the lane is not drawn."""

    def __init__(self, context: CanvasContext, spec: LaneSpec) -> None:
        super().__init__()
        self._context, self._spec = context, spec
        self.setFixedSize(12, 12)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = self._context.theme.lane_colour(self._spec.colour)
        painter.setPen(colour)
        is_drawn = self._spec.id in self._context.document.voice.lanes
        painter.setBrush(colour if is_drawn else QColor(Qt.GlobalColor.transparent))
        painter.drawEllipse(1, 1, 9, 9)
        painter.end()


class HeightHandle(QWidget):
    """The lower edge of a row, dragged to change its height."""

    dragged = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.SplitVCursor)
        self._last: QPoint | None = None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._last = event.globalPosition().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._last is not None:
            now = event.globalPosition().toPoint()
            self.dragged.emit(now.y() - self._last.y())
            self._last = now

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._last = None


class LaneRow(QWidget):
    """Header and lane. `hide_requested` when the user puts the lane away, `learn_requested` for a control for it."""

    hide_requested = Signal(str)
    learn_requested = Signal(str)
    layout_changed = Signal()

    def __init__(self, context: CanvasContext, spec: LaneSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context, self.spec = context, spec
        self.view = LaneView(context, spec)
        self._height_px = DEFAULT_HEIGHT_PX
        self._is_collapsed = False
        self._build_header()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._header)
        row.addWidget(self.view, 1)
        self._handle = HeightHandle(self)
        self._handle.dragged.connect(lambda by: self.set_height(self._height_px + by))
        context.tools.readout.connect(self._show_hover)
        context.document.changed.connect(self._show_state)
        context.document.voice_chosen.connect(self._show_state)
        context.theme.changed.connect(self._show_icons)
        self._show_icons()
        self._apply_height()

    @property
    def is_collapsed(self) -> bool:
        return self._is_collapsed

    @property
    def height_px(self) -> int:
        """The height when not collapsed."""
        return self._height_px

    @property
    def error_text(self) -> str:
        """The error as the header shows it."""
        return self._error.text()

    def set_height(self, height_px: int) -> None:
        """Change the height, within reason."""
        self._height_px = min(max(height_px, LOWEST_HEIGHT_PX), _HIGHEST_HEIGHT_PX)
        self._apply_height()

    def set_collapsed(self, is_collapsed: bool) -> None:
        """Fold to the title, or unfold."""
        self._is_collapsed = is_collapsed
        self._show_icons()
        self._apply_height()
        self.layout_changed.emit()

    def show_error(self) -> None:
        """Compare what is asked with what came out."""
        asked, document = self.context.asked, self.context.document
        measured = self.context.measured.curve(document.voice_index, self.spec.id)
        error = lane_error(self.spec.id, asked.values(self.spec.id), asked.values("presence"), measured)
        self._error.setText(error_label(self.spec, error))

    def resizeEvent(self, event: object) -> None:
        self._handle.setGeometry(0, self.height() - _HANDLE_PX, self.width(), _HANDLE_PX)
        self._handle.raise_()

    def _build_header(self) -> None:
        self._header = styled(QFrame(), "lane_header")
        self._header.setFixedWidth(GUTTER_WIDTH_PX)
        self._fold = styled(QToolButton(), "flat")
        self._fold.setFixedSize(18, 18)
        self._fold.setAccessibleName(f"Fold {self.spec.title}")
        self._fold.setToolTip("Fold or unfold this lane")
        self._fold.clicked.connect(lambda: self.set_collapsed(not self._is_collapsed))
        self._swatch = Swatch(self.context, self.spec)
        title = label(self.spec.title, "title")
        title.setToolTip(f"{self.spec.title}: {self.spec.heard_as}.\nMeasured as {self.spec.measured_as}.")
        self._value = label("", "dim")
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._menu_button = styled(QToolButton(), "flat")
        self._menu_button.setFixedSize(18, 18)
        self._menu_button.setAccessibleName(f"{self.spec.title} options")
        self._menu_button.setToolTip("Interpolation, MIDI learn, clear, hide")
        self._menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = self._menu()
        self._menu_button.setMenu(menu)
        self._header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._header.customContextMenuRequested.connect(lambda at: menu.popup(self._header.mapToGlobal(at)))
        self._range = label(range_label(self.spec), "faint")
        self._error = label("", "dim")
        self._error.setToolTip("How far the sound is from what was asked, on average")
        self._error.setAlignment(Qt.AlignmentFlag.AlignRight)
        top = QHBoxLayout()
        top.setSpacing(6)
        for widget in (self._fold, self._swatch, title):
            top.addWidget(widget)
        top.addStretch(1)
        top.addWidget(self._value)
        top.addWidget(self._menu_button)
        self._below = QWidget()
        below = QGridLayout(self._below)
        below.setContentsMargins(42, 0, 24, 0)
        below.addWidget(self._range, 0, 0)
        below.addWidget(self._error, 0, 1)
        column = QVBoxLayout(self._header)
        column.setContentsMargins(6, 3, 6, 2)
        column.setSpacing(1)
        column.addLayout(top)
        column.addWidget(self._below)
        column.addStretch(1)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        for interpolation in INTERPOLATIONS:
            menu.addAction(interpolation.capitalize(), partial(self._interpolate, interpolation))
        menu.addSeparator()
        menu.addAction("Learn a Control", lambda: self.learn_requested.emit(self.spec.id))
        menu.addAction("Clear Lane", lambda: self.context.document.clear_lane(self.spec.id))
        menu.addAction("Hide Lane", lambda: self.hide_requested.emit(self.spec.id))
        return menu

    def _interpolate(self, kind: Interpolation) -> None:
        document = self.context.document
        document.perform(
            "Change Interpolation", lambda p: set_interpolation(p, document.voice_index, self.spec.id, kind)
        )

    def _apply_height(self) -> None:
        self.setFixedHeight(COLLAPSED_HEIGHT_PX if self._is_collapsed else self._height_px)
        self._below.setVisible(not self._is_collapsed)
        self._handle.setVisible(not self._is_collapsed)

    def _show_hover(self, _text: str) -> None:
        hover = self.view.hover
        self._value.setText("" if hover is None else value_label(self.spec, self.spec.clamp(hover.value)))

    def _show_state(self) -> None:
        self._swatch.update()

    def _show_icons(self) -> None:
        colour = self.context.theme.colours.text_dim
        self._fold.setIcon(icon("right" if self._is_collapsed else "down", colour))
        self._menu_button.setIcon(icon("menu", colour))
