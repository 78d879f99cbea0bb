"""Which control moves what: the chosen controller's mappings, edited where they stand."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.services import MidiActivity
from app.state.preset import Preset
from ui.performance.cards import Card
from ui.performance.controller_card import ControllerCard
from ui.performance.mapping_fields import CalmChooser
from ui.performance.mapping_row import MappingRow, add_headings
from ui.performance.mappings import all_sources, all_targets, conflicts_of, source_title, target_title
from ui.performance.profile_desk import ProfileDesk
from ui.styled import label, styled
from ui.theme import Theme

_STRETCHES = {1: 8, 3: 8, 4: 2, 5: 2, 6: 1, 7: 3, 8: 3, 9: 2}


class ControlsPage(QWidget):
    """told(message, remedy): what could not be done."""

    told = Signal(str, str)

    def __init__(self, desk: ProfileDesk, theme: Theme) -> None:
        super().__init__()
        self.desk, self._theme = desk, theme
        self._preset: Preset | None = None
        self.rows: list[MappingRow] = []
        self._name = label("", "title")
        self._hint = label("", "dim")
        self._hint.setAccessibleName("What MIDI learn is waiting for")
        self.profile_button = styled(QToolButton(), "group")
        self.profile_button.setText("Profile  ▾")
        self.profile_button.setToolTip("Use, copy, rename, delete or reset controller profiles")
        self.profile_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self.fill_menu)
        self.profile_button.setMenu(self._menu)
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.clicked.connect(desk.undo)
        self.redo.clicked.connect(desk.redo)
        self.target = CalmChooser("New target", lambda: [(name, target_title(name)) for name in self._targets()])
        self.target.show_choice("roughness", target_title("roughness"))
        self.learn = QPushButton("Learn")
        self.learn.setToolTip("Bind the next control that moves to this lane (Esc: never mind)")
        self.learn.clicked.connect(self._learn_new)
        self.source = CalmChooser("New control", lambda: [(name, source_title(name)) for name in all_sources()])
        self.source.show_choice("cc16", source_title("cc16"))
        self.add = QPushButton("Add")
        self.add.setToolTip("Map this control to this lane")
        self.add.clicked.connect(lambda: desk.add(str(self.source.currentData()), str(self.target.currentData())))
        self.controller = ControllerCard(desk)
        self._build()
        desk.changed.connect(self.refresh)
        desk.learning_changed.connect(self.refresh)
        desk.told.connect(self.told)
        self.refresh()

    def use_preset(self, preset: Preset | None) -> None:
        """Its adapters' strengths may be mapped, too."""
        self._preset = preset

    def learn_lane(self, lane_id: str) -> None:
        """Wait for a control for this lane."""
        self.target.show_choice(lane_id, target_title(lane_id))
        self.desk.learn(lane_id)

    def take_activity(self, event: MidiActivity) -> None:
        """A control has moved."""
        source = {"control": f"cc{event.number}", "pressure": "channel_pressure", "bend": "pitch_bend"}.get(event.kind)
        for row in self.rows:
            if source is not None and row.binding.source == source:
                row.show_activity(min(max(event.value / 127.0, 0.0), 1.0) if event.kind != "bend" else 0.5)

    def refresh(self) -> None:
        """Show the profile as it is."""
        desk, profile = self.desk, self.desk.profile
        bindings = () if profile is None else profile.bindings
        self._name.setText("No controller profile yet" if profile is None else profile.name)
        self.undo.setEnabled(desk.undo_name is not None)
        self.undo.setToolTip(f"Undo {desk.undo_name or ''} (Ctrl+Z)")
        self.redo.setEnabled(desk.redo_name is not None)
        self.redo.setToolTip(f"Redo {desk.redo_name or ''} (Ctrl+Shift+Z)")
        is_new = desk.learning is not None and desk.replaces is None
        self.learn.setText("Cancel" if is_new else "Learn")
        words = f"Move a control for {target_title(desk.learning)}…" if desk.learning else ""
        self._hint.setText(words)
        if [(row.binding.source, row.binding.lane) for row in self.rows] != [(b.source, b.lane) for b in bindings]:
            self._rebuild(len(bindings))
        conflicts = {} if profile is None else conflicts_of(profile)
        for index, (row, binding) in enumerate(zip(self.rows, bindings, strict=True)):
            row.show_binding(binding, conflicts.get(index, ""), desk.replaces)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.desk.learning is not None:
            self.desk.cancel_learning()
        else:
            super().keyPressEvent(event)

    # ---- inside

    def _targets(self) -> list[str]:
        return all_targets(self._preset)

    def _learn_new(self) -> None:
        if self.desk.learning is not None and self.desk.replaces is None:
            self.desk.cancel_learning()
        else:
            self.desk.learn(str(self.target.currentData()))

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._name)
        head.addWidget(self.profile_button)
        head.addStretch(1)
        head.addWidget(self.undo)
        head.addWidget(self.redo)
        new = QHBoxLayout()
        new.setSpacing(8)
        for widget in (label("Map", "dim"), self.target, self.learn, label("or", "faint"), self.source, self.add):
            new.addWidget(widget)
        new.addWidget(self._hint, 1)
        self.target.setMinimumWidth(170)
        self.source.setMinimumWidth(150)
        card = Card("Mappings")
        card.column.addLayout(new)
        self._body = QWidget()
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(0, 4, 8, 4)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(6)
        add_headings(self._grid)
        for column, stretch in _STRETCHES.items():
            self._grid.setColumnStretch(column, stretch)
        holder = styled(QWidget(), "clear")
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._body)
        column.addStretch(1)
        scroll = styled(QScrollArea(), "clear")
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(holder)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        card.column.addWidget(scroll, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 14)
        column.setSpacing(12)
        column.addLayout(head)
        column.addWidget(self.controller)
        column.addWidget(card, 1)

    def _rebuild(self, n_rows: int) -> None:
        profile = self.desk.profile
        for row in self.rows:
            row.discard()
        self.rows = []
        if profile is None:
            return
        for index in range(n_rows):
            row = MappingRow(self.desk, self._theme, profile.bindings[index], self._targets, self._body)
            for column, widget in enumerate(row.widgets):
                self._grid.addWidget(widget, index + 1, column)
            self.rows.append(row)

    # ---- profiles

    def fill_menu(self) -> None:
        """The profiles there are now."""
        self._menu.clear()
        names, desk = self.desk.names(), self.desk
        use = self._menu.addMenu("Use for This Controller")
        for name in names:
            use.addAction(name, partial(desk.use, name))
        use.setEnabled(bool(names))
        self._menu.addAction("Save a Copy As…", self._ask_copy)
        rename, delete = self._menu.addMenu("Rename"), self._menu.addMenu("Delete")
        for name in names:
            rename.addAction(f"{name}…", partial(self._ask_rename, name))
            delete.addAction(name, partial(desk.delete, name))
        rename.setEnabled(bool(names))
        delete.setEnabled(bool(names))
        self._menu.addSeparator()
        self._menu.addAction("Reset to the Usual Map", desk.reset)

    def _ask_copy(self) -> None:
        name, is_agreed = QInputDialog.getText(self, "Save a Copy", "Name of the copy:")
        if is_agreed and name.strip():
            self.desk.keep_as(name)

    def _ask_rename(self, name: str) -> None:
        new_name, is_agreed = QInputDialog.getText(self, "Rename", f"New name of {name}:", text=name)
        if is_agreed and new_name.strip():
            self.desk.rename(name, new_name)
