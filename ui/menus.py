"""The menu bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMainWindow, QMenu

from synth.spec import lane
from ui.actions import Actions
from ui.canvas.lane_stack import FIRST_SHOWN, STACKED_LANE_IDS, LaneLayout, LaneStack

_MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "&File",
        (
            "new",
            "open",
            "recent",
            "",
            "save",
            "save_as",
            "",
            "import_midi",
            "extract",
            "adapt",
            "",
            "export",
            "",
            "preferences",
            "",
            "quit",
        ),
    ),
    (
        "&Edit",
        (
            "undo",
            "redo",
            "",
            "cut",
            "copy",
            "paste",
            "delete",
            "",
            "select_all",
            "",
            "pen",
            "line",
            "erase",
            "select",
            "note",
            "",
            "snap",
            "new_take",
        ),
    ),
    ("&Play", ("play", "stop", "", "rewind", "end", "", "loop", "follow", "", "cancel_render", "", "record", "panic")),
    (
        "&View",
        (
            "zoom_in",
            "zoom_out",
            "fit",
            "fit_selection",
            "",
            "beats",
            "lanes",
            "",
            "performance",
            "keyboard",
            "side",
            "",
            "appearance",
        ),
    ),
    ("&Help", ("shortcuts", "check_machine", "about")),
)


class Menus:
    """Builds the bar once; the recent files and the lane chooser are filled when they open."""

    def __init__(
        self,
        window: QMainWindow,
        actions: Actions,
        stack: LaneStack,
        *,
        recent_files: Callable[[], tuple[str, ...]],
        open_recent: Callable[[Path], None],
    ) -> None:
        self._recent_files, self._open_recent, self._stack = recent_files, open_recent, stack
        self.recent = QMenu("Open &Recent", window)
        self.recent.aboutToShow.connect(self._fill_recent)
        self.lanes = QMenu("&Lanes", window)
        self.lanes.aboutToShow.connect(self._fill_lanes)
        appearance = QMenu("&Appearance", window)
        group = QActionGroup(window)
        for name in ("theme_system", "theme_dark", "theme_light"):
            group.addAction(actions[name])
            appearance.addAction(actions[name])
        inner = {"recent": self.recent, "lanes": self.lanes, "appearance": appearance}
        for title, entries in _MENUS:
            menu = window.menuBar().addMenu(title)
            for entry in entries:
                if not entry:
                    menu.addSeparator()
                elif entry in inner:
                    menu.addMenu(inner[entry])
                else:
                    menu.addAction(actions[entry])
        for action in actions.all():
            window.addAction(action)

    def _fill_recent(self) -> None:
        self.recent.clear()
        for name in self._recent_files():
            path = Path(name)
            action = self.recent.addAction(path.name, lambda chosen=path: self._open_recent(chosen))
            action.setToolTip(name)
        if self.recent.isEmpty():
            self.recent.addAction("No recent files").setEnabled(False)

    def _fill_lanes(self) -> None:
        self.lanes.clear()
        shown = [row.spec.id for row in self._stack.rows()]
        techniques = self.lanes.addMenu("Techniques")
        order = self.lanes.addMenu("Order")
        self.lanes.addSeparator()
        for lane_id in STACKED_LANE_IDS:
            menu = techniques if lane_id.startswith("technique.") else self.lanes
            action = menu.addAction(lane(lane_id).title)
            action.setCheckable(True)
            action.setChecked(lane_id in shown)
            action.toggled.connect(lambda on, chosen=lane_id: self._stack.set_shown(chosen, on))
        for lane_id in shown:
            entry = order.addMenu(lane(lane_id).title)
            for title, by in (
                ("Move Up", -1),
                ("Move Down", 1),
                ("To the Top", -len(shown)),
                ("To the Bottom", len(shown)),
            ):
                entry.addAction(title, lambda chosen=lane_id, step=by: self._stack.move_lane(chosen, step))
        self.lanes.addSeparator()
        self.lanes.addAction("Fold All", lambda: self._fold(True))
        self.lanes.addAction("Unfold All", lambda: self._fold(False))
        self.lanes.addAction("Usual Lanes", lambda: self._stack.show_lanes([LaneLayout(i) for i in FIRST_SHOWN]))
        self.lanes.addAction("All Lanes", lambda: self._stack.show_lanes([LaneLayout(i) for i in STACKED_LANE_IDS]))

    def _fold(self, is_collapsed: bool) -> None:
        for row in self._stack.rows():
            row.set_collapsed(is_collapsed)
