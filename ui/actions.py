"""Every command by name: title, shortcut, tip. Menus, tool buttons and the shortcut table read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence

from ui.icons import icon
from ui.theme import Theme


@dataclass(frozen=True, slots=True)
class Command:
    """One command as the user meets it. `keys`: any of these, the first is shown."""

    id: str
    title: str
    keys: tuple[str, ...] = ()
    tip: str = ""
    icon: str = ""
    checkable: bool = False


COMMANDS: tuple[Command, ...] = (
    Command("new", "New", ("Ctrl+N",), "Start an empty passage"),
    Command("open", "Open…", ("Ctrl+O",), "Open a passage"),
    Command("save", "Save", ("Ctrl+S",), "Save the passage"),
    Command("save_as", "Save As…", ("Ctrl+Shift+S",), "Save the passage under another name"),
    Command("import_midi", "Import MIDI…", ("Ctrl+I",), "Make a passage from a MIDI file"),
    Command("extract", "Extract from Recording…", ("Ctrl+E",), "Turn a recording of a voice into notes and lanes"),
    Command("adapt", "Adapt to a Voice…", ("Ctrl+Shift+A",), "Make a preset of somebody's recordings"),
    Command("export", "Export Audio…", ("Ctrl+Shift+E",), "Render to a WAV or FLAC file"),
    Command("preferences", "Preferences…", ("Ctrl+,",), "Devices, rendering and appearance"),
    Command("quit", "Quit", ("Ctrl+Q",)),
    Command("undo", "Undo", ("Ctrl+Z",), "Take the last edit back", "undo"),
    Command("redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Do it again", "redo"),
    Command("cut", "Cut", ("Ctrl+X",)),
    Command("copy", "Copy", ("Ctrl+C",)),
    Command("paste", "Paste at Playhead", ("Ctrl+V",)),
    Command("delete", "Delete", ("Delete", "Backspace"), "Delete what is selected"),
    Command("select_all", "Select All", ("Ctrl+A",), "All notes, or the whole focused lane"),
    Command("pen", "Pen", ("1",), "Draw freehand. Shift: level, Alt: fine, Ctrl: off the grid", "pen", True),
    Command("line", "Line", ("2",), "Draw a straight line. Shift: level", "line", True),
    Command("erase", "Eraser", ("3",), "Erase a stretch, or the notes touched", "erase", True),
    Command("select", "Select", ("4",), "Select and move; arrow keys transpose", "select", True),
    Command("note", "Note", ("5",), "Draw, move and resize notes. Alt-click: delete", "note", True),
    Command("snap", "Snap to Grid", ("G",), "Keep to the grid; Ctrl lets go for one gesture", "snap", True),
    Command("beats", "Bars and Beats", ("Ctrl+B",), "Count bars and beats instead of seconds", "", True),
    Command("play", "Play", ("Space",), "Play or pause", "play"),
    Command("stop", "Stop", ("Shift+Space",), "Stop and return", "stop"),
    Command("rewind", "To the Beginning", ("Home",), "Move the playhead to the beginning", "start"),
    Command("end", "To the End", ("End",), "Move the playhead to the end"),
    Command("loop", "Loop", ("L",), "Loop the selection, or the whole passage", "loop", True),
    Command("follow", "Follow Playhead", ("F",), "Turn the page when the playhead leaves it", "follow", True),
    Command("new_take", "New Take", ("Ctrl+T",), "Sing the same curves again with another seed", "dice"),
    Command("cancel_render", "Cancel Rendering", ("Ctrl+.",)),
    Command("panic", "Panic", ("F12", "Ctrl+Shift+P"), "Silence every live note at once, in any window", "panic"),
    Command("record", "Record Playing", ("R",), "Record what is played: sound, and a passage of it", "record", True),
    Command("zoom_in", "Zoom In", ("Ctrl++", "Ctrl+=")),
    Command("zoom_out", "Zoom Out", ("Ctrl+-",)),
    Command("fit", "Fit Passage", ("Ctrl+0",), "Show the whole passage", "fit"),
    Command("fit_selection", "Fit Selection", ("Ctrl+Shift+0",), "Show the selection or the loop"),
    Command(
        "keyboard", "On-Screen Keyboard", ("Ctrl+K",), "Play the preset with mouse and computer keys", "keyboard", True
    ),
    Command(
        "performance",
        "Performance",
        ("Ctrl+M",),
        "Meters, scope and controllers of live playing, in place of the passage",
        "performance",
        True,
    ),
    Command("side", "Presets and Voices", ("Ctrl+P",), "Show or hide the side panel", "panel", True),
    Command("theme_system", "Follow System", (), "", "", True),
    Command("theme_dark", "Dark", (), "", "", True),
    Command("theme_light", "Light", (), "", "", True),
    Command("shortcuts", "Keyboard Shortcuts", ("F1",), "List every shortcut"),
    Command("check_machine", "Check This Machine…", (), "Measure it, and say how to play on it"),
    Command("about", "About Stridor"),
)


_ALARMING = frozenset(("panic", "record"))


class Actions(QObject):
    """The commands as QActions, by id."""

    def __init__(self, theme: Theme, parent: QObject) -> None:
        super().__init__(parent)
        self._theme = theme
        self._actions: dict[str, QAction] = {}
        self._icons = {command.id: command.icon for command in COMMANDS if command.icon}
        for command in COMMANDS:
            action = QAction(command.title, parent)
            action.setObjectName(command.id)
            action.setCheckable(command.checkable)
            action.setShortcuts([QKeySequence(keys) for keys in command.keys])
            shortcut = (
                QKeySequence(command.keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if command.keys else ""
            )
            hint = command.tip or command.title.rstrip("…")
            action.setToolTip(f"{hint}  ({shortcut})" if shortcut else hint)
            action.setStatusTip(hint)
            self._actions[command.id] = action
        theme.changed.connect(self.show_icons)
        self.show_icons()

    def __getitem__(self, command_id: str) -> QAction:
        return self._actions[command_id]

    def all(self) -> list[QAction]:
        """Every action, in the table's order."""
        return list(self._actions.values())

    def on(self, command_id: str, call: Callable[[], object]) -> None:
        """Carry `call` out when the command is given."""
        self._actions[command_id].triggered.connect(lambda _checked=False: call())

    def on_toggle(self, command_id: str, call: Callable[[bool], object]) -> None:
        """Hand a checkable command's state to `call`."""
        self._actions[command_id].toggled.connect(call)

    def show_icons(self) -> None:
        """Draw the icons in the theme's colours."""
        colours = self._theme.colours
        for command_id, name in self._icons.items():
            action = self._actions[command_id]
            checked = colours.accent_text if action.isCheckable() else None
            action.setIcon(icon(name, colours.danger if command_id in _ALARMING else colours.text, checked))
            action.setIconVisibleInMenu(False)

    def use_icon(self, command_id: str, name: str) -> None:
        """Show another icon for a command, as Pause on Play."""
        self._icons[command_id] = name
        self.show_icons()
