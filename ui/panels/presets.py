"""The preset browser: search, categories, list, description, comparing; drop packs and presets on it."""

from __future__ import annotations

import random
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPoint, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.state.preset import Preset
from app.store.preset_index import SHOWCASE, Query, Row
from synth.spec import TECHNIQUES
from ui.icons import icon
from ui.presets.comparing import CompareBar
from ui.presets.desk_menu import DeskMenu
from ui.presets.listing import ROW_ROLE, PresetList
from ui.presets.pills import TechniquePills
from ui.presets.shelf import PresetShelf
from ui.styled import Chooser, label, styled
from ui.theme import Theme

_EVERYTHING, _FAVOURITES, _RECENT, _OWN = "All presets", "Favourites", "Recent", "Yours"
_BY, _TAGGED = "By ", "Tag: "
_MOST_AUTHORS = _MOST_TAGS = 20
_LISTED_AFTER_MS = 120  # a list that is still being scrolled or searched is not prepared for
_ROWS_BELOW = 12


class PresetPanel(QWidget):
    """`chosen(id)` on user action only; `told(message, remedy, details, is_fault)`.

    heard(Preset)     let it be heard now;  moved(Preset): let the keyboard sing with it
    listed            presets (a list) that are in view now, or nearly: they may be chosen next
    capture_asked     the user wants the voice as it is at the playhead; `keep` it
    """

    chosen = Signal(str)
    heard = Signal(object)
    moved = Signal(object)
    listed = Signal(object)
    capture_asked = Signal()
    told = Signal(str, str, str, bool)

    def __init__(self, theme: Theme, shelf: PresetShelf, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._shelf = theme, shelf
        self._technique = ""
        self._chosen_id: str | None = None
        self.search = _SearchField()
        self.search.setPlaceholderText("Search: words, tag:low, by:name")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search presets")
        self.category = Chooser()
        self.category.setAccessibleName("Which presets")
        self.pills = TechniquePills(theme, TECHNIQUES)
        self.list = styled(PresetList(theme, shelf), "plain")
        self.compare = CompareBar()
        self.desk = DeskMenu(theme, shelf, self)
        self._count = label("", "faint")
        self._about = QLabel("")
        self._credit = label("", "faint")
        self.preview = self._button("play", "Let each preset that is chosen be heard", checkable=True)
        self.preview.setChecked(True)
        self.dice = self._button("dice", "Choose any of those listed")
        self.more = self._button("menu", "Edit, save under another name, undo, packs")
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_LISTED_AFTER_MS)
        self._arrange()
        self._connect()
        self._show_shelf()
        theme.changed.connect(self._draw_icons)

    def show_chosen(self, preset_id: str | None) -> None:
        """Mark the voice's preset, and bring another than before into view; the first leaves the list at its top."""
        is_another = self._chosen_id is not None and preset_id != self._chosen_id
        self._chosen_id = preset_id
        self._mark_chosen()
        if is_another:
            self.list.scrollTo(self.list.currentIndex())

    def _mark_chosen(self) -> None:
        with QSignalBlocker(self.list.selectionModel()):
            # Setting a current row would scroll to it: what is in view stays there.
            self.list.setAutoScroll(False)
            self.list.setCurrentIndex(self.list.presets.place_of(self._chosen_id))
            self.list.setAutoScroll(True)
        self.list.viewport().update()
        self._describe()

    def visible_names(self) -> list[str]:
        """Names that match the search."""
        return [row.name for row in self.list.presets.rows()]

    def take_file(self, path: Path) -> None:
        """A pack or a preset that was dropped or opened: shown first, written only when agreed to."""
        self.desk.take_file(path)

    def keep(self, preset: Preset) -> None:
        """Ask for a name and keep `preset` as the user's own."""
        self.desk.keep_as(preset, f"{preset.name} copy")

    def edit(self) -> None:
        """The marked preset's texts, level and number; the factory's become the user's own."""
        self.desk.edit(self._marked())

    def save_as(self) -> None:
        """The marked preset under another name."""
        self.desk.save_as(self._marked())

    def choose_any(self) -> None:
        """One of those listed, by chance."""
        rows = [row for row in self.list.presets.rows() if row.id != self._chosen_id]
        if rows:
            self._choose(random.choice(rows))

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.category, 1)
        for button in (self.preview, self.dice, self.more):
            head.addWidget(button)
        foot = QFrame()
        below = QVBoxLayout(foot)
        below.setContentsMargins(4, 6, 4, 10)
        below.setSpacing(4)
        for words in (self._about, self._credit):
            words.setWordWrap(True)
            words.setTextFormat(Qt.TextFormat.PlainText)
            below.addWidget(words)
        below.addSpacing(4)
        below.addWidget(self.compare)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 10, 8, 0)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addLayout(head)
        column.addWidget(self.pills)
        column.addWidget(self._count)
        column.addWidget(self.list, 1)
        column.addWidget(foot)

    def _connect(self) -> None:
        shelf = self._shelf
        self.search.textChanged.connect(lambda _text: self._find_anew())
        self.search.returnPressed.connect(self._choose_first)
        self.search.downwards.connect(self._into_list)
        self.category.currentIndexChanged.connect(lambda _index: self._find_anew())
        self.pills.chosen.connect(self._on_technique)
        self.list.clicked.connect(self._on_index)
        self.list.activated.connect(self._on_index)
        self.list.selectionModel().currentChanged.connect(lambda _now, _before: self._describe())
        self.list.browsed.connect(self._sound)
        self.list.verticalScrollBar().valueChanged.connect(lambda _value: self._rest.start())
        self.list.verticalScrollBar().rangeChanged.connect(lambda _low, _high: self._rest.start())
        self._rest.timeout.connect(self._tell_listed)
        self.list.starred.connect(lambda chosen: shelf.set_favourite(chosen, not shelf.is_favourite(chosen)))
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(lambda at: self._show_menu(self.list.mapToGlobal(at)))
        self.dice.clicked.connect(self.choose_any)
        self.more.clicked.connect(lambda: self._show_menu(self.more.mapToGlobal(self.more.rect().bottomLeft())))
        self.desk.told.connect(self.told)
        self.desk.capture_asked.connect(self.capture_asked)
        self.desk.compared.connect(self._fill_slot)
        self.desk.kept.connect(self._on_kept)
        self.compare.filled.connect(self._fill_slot)
        self.compare.heard.connect(self.heard)
        self.compare.moved.connect(self.moved)
        self.compare.kept.connect(lambda preset: self.desk.keep_as(preset, preset.name.replace(" → ", " to ")))
        shelf.changed.connect(self._show_shelf)
        shelf.failed.connect(lambda message, remedy: self.told.emit(message, remedy, "", True))

    def _button(self, name: str, tip: str, *, checkable: bool = False) -> QToolButton:
        button = styled(QToolButton(), "flat")
        button.setProperty("icon_name", name)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setCheckable(checkable)
        button.setIcon(icon(name, self._theme.colours.text, self._theme.colours.accent_text))
        return button

    def _draw_icons(self) -> None:
        for button in (self.preview, self.dice, self.more):
            name = button.property("icon_name")
            button.setIcon(icon(name, self._theme.colours.text, self._theme.colours.accent_text))
        self.list.viewport().update()

    def _show_shelf(self) -> None:
        """Presets, favourites or numbers have changed."""
        before = self.category.currentText()
        index = self._shelf.index
        with QSignalBlocker(self.category):
            self.category.clear()
            self.category.addItems([_EVERYTHING, _FAVOURITES, _RECENT, _OWN])
            for start, names in (
                (_BY, list(index.authors())[:_MOST_AUTHORS]),
                (_TAGGED, [tag for tag in index.tags() if tag != SHOWCASE and tag not in TECHNIQUES][:_MOST_TAGS]),
            ):
                if names:
                    self.category.insertSeparator(self.category.count())
                    self.category.addItems([start + name for name in names])
            self.category.setCurrentIndex(max(_place(self.category, before), 0))
        self.pills.show_counts(index.techniques())
        self._find()

    def _find_anew(self) -> None:
        """Something else is looked for: the best of it stands at the top."""
        self._find()
        self.list.scrollToTop()

    def _find(self) -> None:
        shelf, text = self._shelf, self.search.text()
        category, ids = self.category.currentText(), None
        if category == _FAVOURITES:
            ids = frozenset(shelf.library.favourites)
        elif category == _RECENT:
            ids = frozenset(shelf.library.recent)
        elif category == _OWN:
            own = str(shelf.desk.folder)
            ids = frozenset(row.id for row in shelf.index.rows if row.file.startswith(own))
        found = shelf.index.search(Query(text, self._technique, ids))
        rows = shelf.index.rows
        if category.startswith(_BY):
            found = [index for index in found if rows[index].author == category.removeprefix(_BY)]
        elif category.startswith(_TAGGED):
            found = [index for index in found if category.removeprefix(_TAGGED) in rows[index].tags]
        if category == _RECENT and not text:
            place = {preset_id: number for number, preset_id in enumerate(shelf.library.recent)}
            found.sort(key=lambda index: place[rows[index].id])
        self.list.presets.show_found(found)
        self._count.setText(f"{len(found)} of {len(rows)}" if len(found) < len(rows) else f"{len(rows)} presets")
        self._mark_chosen()
        self._rest.start()

    def _on_technique(self, technique: str) -> None:
        self._technique = technique
        self._find_anew()

    def _on_index(self, index: QModelIndex) -> None:
        self._choose(index.data(ROW_ROLE))

    def _choose_first(self) -> None:
        rows = self.list.presets.rows()
        if rows:
            self._choose(rows[0])

    def _choose(self, row: Row) -> None:
        self._sound(row)  # first: whoever chooses waits to hear it
        self.chosen.emit(row.id)
        self._shelf.note_used(row.id)
        self.show_chosen(row.id)

    def _sound(self, row: Row) -> None:
        preset = self._shelf.preset(row.id)
        if preset is not None:
            (self.heard if self.preview.isChecked() else self.moved).emit(preset)

    def _into_list(self) -> None:
        """From the search to its first find, by the Down key."""
        rows = self.list.presets.rows()
        if rows:
            self.list.setFocus(Qt.FocusReason.OtherFocusReason)
            self.list.setCurrentIndex(self.list.presets.index(0, 0))
            self._sound(rows[0])

    def _tell_listed(self) -> None:
        found = (self._shelf.preset(row.id) for row in self.list.rows_in_view(_ROWS_BELOW))
        self.listed.emit([preset for preset in found if preset is not None])

    def _marked(self) -> Preset | None:
        row = self.list.current_row()
        preset_id = row.id if row is not None else self._chosen_id
        return None if preset_id is None else self._shelf.preset(preset_id)

    def _describe(self) -> None:
        row = self.list.current_row()
        if row is None and self._chosen_id is not None:
            row = self._shelf.index.find(self._chosen_id)
        self._about.setText(row.description if row is not None else "No preset: neutral modal voice.")
        credit = [row.author, row.licence, "with adapters" if row.adapted else ""] if row is not None else []
        self._credit.setText(" · ".join(part for part in credit if part))

    def _on_kept(self, preset_id: str) -> None:
        self._chosen_id = preset_id
        self.chosen.emit(preset_id)
        self.show_chosen(preset_id)

    def _show_menu(self, at: QPoint) -> None:
        self.desk.menu(self._marked()).exec(at)

    def _fill_slot(self, slot: int) -> None:
        preset = self._marked()
        if preset is not None:
            self.compare.fill(slot, preset)
            self.heard.emit(preset)


class _SearchField(QLineEdit):
    """`downwards` when the Down key leaves it for what it found."""

    downwards = Signal()

    def keyPressEvent(self, arg__1: QKeyEvent) -> None:
        if arg__1.key() == Qt.Key.Key_Down:
            self.downwards.emit()
        else:
            super().keyPressEvent(arg__1)


def _place(category: QComboBox, text: str) -> int:
    return category.findText(text) if text else 0
