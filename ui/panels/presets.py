"""The preset browser: search, list, tags, description."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.state.preset import Preset
from synth.spec import lane
from ui.styled import label, styled
from ui.theme import Theme, ui_font, with_alpha

_PRESET_ROLE = Qt.ItemDataRole.UserRole
_ROW_PX = 46


class _PresetDelegate(QStyledItemDelegate):
    """Two lines: name and tags, with the main technique's colour at the left."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(100, _ROW_PX)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        preset: Preset = index.data(_PRESET_ROLE)
        colours = self._theme.colours
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(4, 2, -4, -2)  # pyright: ignore[reportAttributeAccessIssue]
        state = option.state  # pyright: ignore[reportAttributeAccessIssue]
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(with_alpha(colours.accent, 0.22))
            painter.drawRoundedRect(box, 6, 6)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(box, 6, 6)
        main = max(preset.technique, key=lambda name: preset.technique[name])
        painter.setBrush(self._theme.lane_colour(lane(f"technique.{main}").colour))
        painter.drawRoundedRect(QRectF(box.left() + 6, box.top() + 8, 4, box.height() - 16), 2, 2)
        text = box.adjusted(20, 4, -8, -4)
        painter.setFont(ui_font(bold=True))
        painter.setPen(QColor(colours.text))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, preset.name)
        painter.setFont(ui_font(size_px=11))
        painter.setPen(QColor(colours.text_dim))
        tags = painter.fontMetrics().elidedText(
            " · ".join(preset.tags) or main, Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, tags)
        painter.restore()


class PresetPanel(QWidget):
    """`chosen` with a preset's id on user action only."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, presets: Sequence[Preset], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets = list(presets)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search presets")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search presets")
        self.search.textChanged.connect(self._filter)
        self.list = styled(QListWidget(), "plain")
        self.list.setItemDelegate(_PresetDelegate(theme, self.list))
        self.list.setMouseTracking(True)
        self.list.setAccessibleName("Presets")
        self.list.itemClicked.connect(self._on_item)
        self.list.itemActivated.connect(self._on_item)
        self.list.currentItemChanged.connect(lambda item, _before: self._describe(item))
        self._about = QLabel("")
        self._about.setWordWrap(True)
        self._about.setTextFormat(Qt.TextFormat.PlainText)
        self._credit = label("", "faint")
        self._credit.setWordWrap(True)
        foot = QFrame()
        below = QVBoxLayout(foot)
        below.setContentsMargins(12, 8, 12, 10)
        below.setSpacing(4)
        below.addWidget(self._about)
        below.addWidget(self._credit)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 10, 8, 0)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.list, 1)
        column.addWidget(foot)
        for preset in self._presets:
            item = QListWidgetItem()
            item.setData(_PRESET_ROLE, preset)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, preset.name)
            self.list.addItem(item)
        theme.changed.connect(self.list.viewport().update)

    def show_chosen(self, preset_id: str | None) -> None:
        """Mark the voice's preset."""
        for index in range(self.list.count()):
            item = self.list.item(index)
            if item.data(_PRESET_ROLE).id == preset_id:
                self.list.setCurrentItem(item)
                return
        self.list.setCurrentItem(None)  # pyright: ignore[reportArgumentType]
        self._describe(None)

    def visible_names(self) -> list[str]:
        """Names that match the search."""
        items = (self.list.item(index) for index in range(self.list.count()))
        return [item.data(_PRESET_ROLE).name for item in items if not item.isHidden()]

    def _on_item(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(_PRESET_ROLE).id)

    def _describe(self, item: QListWidgetItem | None) -> None:
        preset: Preset | None = item.data(_PRESET_ROLE) if item is not None else None
        self._about.setText(preset.description if preset is not None else "No preset: neutral modal voice.")
        credit = [preset.author, preset.licence] if preset is not None else []
        self._credit.setText(" · ".join(part for part in credit if part))

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        for index in range(self.list.count()):
            item = self.list.item(index)
            preset: Preset = item.data(_PRESET_ROLE)
            hay = " ".join((preset.name, preset.description, *preset.tags, *preset.technique)).casefold()
            item.setHidden(not all(word in hay for word in words))
