"""The list of presets: thousands of rows, two lines each, that can be dragged out as files."""

from __future__ import annotations

import html
from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRectF,
    QSize,
    Qt,
    QUrl,
    Signal,
)
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPolygonF
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.store.preset_index import SHOWCASE, Row
from synth.spec import lane
from ui.presets.shelf import PresetShelf
from ui.theme import Theme, ui_font, with_alpha

ROW_PX = 46
ROW_ROLE = Qt.ItemDataRole.UserRole
_STAR_PX = 26
_AnyIndex = QModelIndex | QPersistentModelIndex


class PresetModel(QAbstractListModel):
    """The rows of the index that are shown, in the order found."""

    def __init__(self, shelf: PresetShelf) -> None:
        super().__init__()
        self._shelf = shelf
        self._found: list[int] = []

    def show_found(self, found: Sequence[int]) -> None:
        """Show these rows of the shelf's index."""
        self.beginResetModel()
        self._found = list(found)
        self.endResetModel()

    def rows(self) -> list[Row]:
        """What is shown."""
        return [self._shelf.index.rows[index] for index in self._found]

    def place_of(self, preset_id: str | None) -> QModelIndex:
        """Where a preset is shown; an invalid index where it is not."""
        rows = self._shelf.index.rows
        place = next((place for place, index in enumerate(self._found) if rows[index].id == preset_id), None)
        return QModelIndex() if place is None else self.index(place, 0)

    def rowCount(self, parent: _AnyIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's own default)
        return 0 if parent.isValid() else len(self._found)

    def data(self, index: _AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._found):
            return None
        row = self._shelf.index.rows[self._found[index.row()]]
        if role == ROW_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.name
        # Qt takes a tool tip that looks like markup for markup, and strangers write these.
        return f"<p>{html.escape(row.description)}</p>" if role == Qt.ItemDataRole.ToolTipRole else None

    def flags(self, index: _AnyIndex) -> Qt.ItemFlag:
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return usual | Qt.ItemFlag.ItemIsDragEnabled if index.isValid() else Qt.ItemFlag.NoItemFlags

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """The presets' files, for the desktop or another program."""
        rows: list[Row] = [index.data(ROW_ROLE) for index in indexes]
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(row.path)) for row in rows if row.path.is_file()])
        data.setText("\n".join(row.name for row in rows))
        return data


class PresetDelegate(QStyledItemDelegate):
    """Two lines: name and tags; the main technique's colour at the left, star and program number at the right."""

    def __init__(self, theme: Theme, shelf: PresetShelf, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._shelf = theme, shelf

    def sizeHint(self, option: QStyleOptionViewItem, index: _AnyIndex) -> QSize:
        return QSize(100, ROW_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _AnyIndex) -> None:
        row: Row = index.data(ROW_ROLE)
        colours = self._theme.colours
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(4, 2, -4, -2)  # pyright: ignore[reportAttributeAccessIssue] (not in Qt's stubs)
        state = option.state  # pyright: ignore[reportAttributeAccessIssue] (not in Qt's stubs)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(with_alpha(colours.accent, 0.22))
            painter.drawRoundedRect(box, 6, 6)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(box, 6, 6)
        self._paint_blend(painter, box, row)
        is_favourite = self._shelf.is_favourite(row.id)
        if is_favourite or state & QStyle.StateFlag.State_MouseOver:
            shade = QColor(colours.playhead) if is_favourite else with_alpha(colours.text_faint, 0.6)
            _paint_star(painter, QPointF(box.right() - 13, box.top() + 13), shade, filled=is_favourite)
        self._paint_words(painter, box.adjusted(20, 4, -_STAR_PX, -4), row)
        painter.restore()

    def _paint_blend(self, painter: QPainter, box: QRectF, row: Row) -> None:
        """A stripe of the techniques' colours, the strongest tallest."""
        height, top = box.height() - 16, box.top() + 8
        shares = [0.6, 0.4] if len(row.blend) > 1 else [1.0]
        for share, name in zip(shares, row.blend, strict=False):
            painter.setBrush(self._theme.lane_colour(lane(f"technique.{name}").colour))
            painter.drawRoundedRect(QRectF(box.left() + 6, top, 4, height * share), 2, 2)
            top += height * share

    def _paint_words(self, painter: QPainter, text: QRectF, row: Row) -> None:
        colours = self._theme.colours
        painter.setFont(ui_font(bold=True))
        painter.setPen(QColor(colours.text))
        name = painter.fontMetrics().elidedText(row.name, Qt.TextElideMode.ElideRight, int(text.width()))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, name)
        painter.setFont(ui_font(size_px=11))
        painter.setPen(QColor(colours.text_dim))
        number = self._shelf.library.program_of(row.id)
        tags = [tag for tag in row.tags or row.blend if tag != SHOWCASE]
        words = [*([] if number is None else [f"#{number}"]), *tags]
        below = painter.fontMetrics().elidedText(" · ".join(words), Qt.TextElideMode.ElideRight, int(text.width()))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, below)


class PresetList(QListView):
    """`starred(id)` when a star is clicked; `browsed(Row)` when a key moves on to another preset."""

    starred = Signal(str)
    browsed = Signal(object)

    def __init__(self, theme: Theme, shelf: PresetShelf) -> None:
        super().__init__()
        self.presets = PresetModel(shelf)
        self.setModel(self.presets)
        self.setItemDelegate(PresetDelegate(theme, shelf, self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setDragEnabled(True)
        self.setSelectionMode(QListView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName("Presets")

    def current_row(self) -> Row | None:
        """The marked preset."""
        return self.currentIndex().data(ROW_ROLE) if self.currentIndex().isValid() else None

    def rows_in_view(self, n_more: int = 0) -> list[Row]:
        """What is seen now, from the top, and so many rows below it."""
        top = self.indexAt(QPoint(1, 1))
        first = top.row() if top.isValid() else 0
        return self.presets.rows()[first : first + self.viewport().height() // ROW_PX + 2 + n_more]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        before = self.current_row()
        super().keyPressEvent(event)
        row = self.current_row()
        if row is not None and row != before:
            self.browsed.emit(row)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        box = self.visualRect(index)
        if index.isValid() and event.position().x() > box.right() - _STAR_PX and event.position().y() < box.top() + 28:
            self.starred.emit(index.data(ROW_ROLE).id)
            event.accept()
            return
        super().mousePressEvent(event)


def _paint_star(painter: QPainter, centre: QPointF, colour: QColor, *, filled: bool) -> None:
    points = [
        centre + QPointF(sin(pi * step / 5) * radius, -cos(pi * step / 5) * radius)
        for step in range(10)
        for radius in (6.0 if step % 2 == 0 else 2.7,)
    ]
    painter.setPen(Qt.PenStyle.NoPen if filled else colour)
    painter.setBrush(colour if filled else Qt.BrushStyle.NoBrush)
    painter.drawPolygon(QPolygonF(points))
    painter.setPen(Qt.PenStyle.NoPen)
