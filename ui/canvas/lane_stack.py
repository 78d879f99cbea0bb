"""The lanes one under the other: which, in which order, how high."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from synth.spec import LANES, lane
from ui.canvas.context import CanvasContext
from ui.canvas.lane_row import DEFAULT_HEIGHT_PX, LaneRow

# Every lane but pitch, which lives in the roll.
STACKED_LANE_IDS = tuple(spec.id for spec in LANES if spec.id != "pitch")
FIRST_SHOWN = ("loudness", "breathiness", "roughness", "fry", "tension")
_ERROR_DELAY_MS = 200


@dataclass(frozen=True, slots=True)
class LaneLayout:
    """How one lane is shown."""

    lane_id: str
    height_px: int = DEFAULT_HEIGHT_PX
    is_collapsed: bool = False


class LaneStack(QScrollArea):
    """layout_changed after the user shows, hides, folds or moves a lane; learn_requested(lane id) for a control."""

    layout_changed = Signal()
    learn_requested = Signal(str)

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._rows: dict[str, LaneRow] = {}
        self._body = QWidget()
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self.setWidget(self._body)
        self.setWidgetResizable(True)
        self.setMinimumHeight(60)
        self._error_timer = QTimer(self)
        self._error_timer.setSingleShot(True)
        self._error_timer.setInterval(_ERROR_DELAY_MS)
        self._error_timer.timeout.connect(self._show_errors)
        context.measured.changed.connect(self._error_timer.start)
        context.measured.stretch_changed.connect(self._on_measured)
        context.asked.changed.connect(self._error_timer.start)
        self.show_lanes([LaneLayout(lane_id) for lane_id in FIRST_SHOWN])

    def rows(self) -> list[LaneRow]:
        """The shown lanes from top to bottom."""
        items = (self._column.itemAt(index) for index in range(self._column.count() - 1))
        return [widget for item in items if item is not None and isinstance(widget := item.widget(), LaneRow)]

    def layouts(self) -> list[LaneLayout]:
        """How the lanes are shown, for the settings."""
        return [LaneLayout(row.spec.id, row.height_px, row.is_collapsed) for row in self.rows()]

    def row(self, lane_id: str) -> LaneRow | None:
        """The row of a lane, None when it is not shown."""
        return self._rows.get(lane_id)

    def show_lanes(self, layouts: Sequence[LaneLayout]) -> None:
        """Show exactly these, in this order."""
        wanted = {layout.lane_id for layout in layouts}
        for lane_id in [lane_id for lane_id in self._rows if lane_id not in wanted]:
            row = self._rows.pop(lane_id)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for position, layout in enumerate(layouts):
            row = self._rows.get(layout.lane_id) or self._new_row(layout)
            self._column.removeWidget(row)
            self._column.insertWidget(position, row)
        self.layout_changed.emit()

    def set_shown(self, lane_id: str, is_shown: bool) -> None:
        """Show a lane at the bottom, or put it away."""
        layouts = [layout for layout in self.layouts() if layout.lane_id != lane_id]
        if is_shown:
            layouts.append(LaneLayout(lane_id))
        self.show_lanes(layouts)

    def move_lane(self, lane_id: str, by: int) -> None:
        """Move a lane up (negative) or down."""
        layouts = self.layouts()
        at = next(index for index, layout in enumerate(layouts) if layout.lane_id == lane_id)
        moved = layouts.pop(at)
        layouts.insert(min(max(at + by, 0), len(layouts)), moved)
        self.show_lanes(layouts)

    def _new_row(self, layout: LaneLayout) -> LaneRow:
        row = LaneRow(self._context, lane(layout.lane_id))
        row.set_height(layout.height_px)
        row.set_collapsed(layout.is_collapsed)
        row.hide_requested.connect(lambda lane_id: self.set_shown(lane_id, False))
        row.layout_changed.connect(self.layout_changed)
        row.learn_requested.connect(self.learn_requested)
        self._rows[layout.lane_id] = row
        return row

    def _on_measured(self, _start_s: float, _end_s: float) -> None:
        if not self._error_timer.isActive():  # a render measures many times a second: compare now and then
            self._error_timer.start()

    def _show_errors(self) -> None:
        for row in self._rows.values():
            row.show_error()
