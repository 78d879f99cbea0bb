"""What each command does in the window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ui.theme import ThemeChoice
from ui.tools.toolbox import ToolName

if TYPE_CHECKING:
    from ui.window import MainWindow

_ZOOM_STEP = 1.4


def connect_commands(window: MainWindow) -> None:
    """Connect the whole table."""
    _connect_files(window)
    _connect_edits(window)
    _connect_transport(window)
    _connect_view(window)


def _connect_files(window: MainWindow) -> None:
    actions, files = window.actions_table, window.files
    for name, call in (
        ("new", files.new),
        ("open", files.open_dialog),
        ("save", files.save),
        ("save_as", files.save_as),
        ("import_midi", files.import_dialog),
        ("extract", files.extract_dialog),
        ("export", files.export_dialog),
        ("preferences", window.show_preferences),
        ("quit", window.close),
        ("shortcuts", window.show_shortcuts),
        ("about", window.show_about),
    ):
        actions.on(name, call)


def _connect_edits(window: MainWindow) -> None:
    actions, document, context = window.actions_table, window.document, window.context
    desk = window.performance.desk
    actions.on("undo", lambda: desk.undo() if window.performance.takes_undo else document.undo())
    actions.on("redo", lambda: desk.redo() if window.performance.takes_undo else document.redo())
    actions.on("copy", document.copy)
    actions.on("cut", lambda: document.delete_selected() if document.copy() else None)
    actions.on("paste", lambda: document.paste_at(context.playhead.position_s))
    actions.on("delete", document.delete_selected)
    actions.on("select_all", document.select_all)
    actions.on("new_take", window.voice_panel.new_take)
    for name in ToolName:
        actions.on(name.value, lambda chosen=name: context.tools.choose(chosen))
    actions[context.tools.name.value].setChecked(True)
    actions.on_toggle("snap", context.tools.set_snaps)

    def show_history() -> None:
        history = desk if window.performance.takes_undo else document.history
        for command_id, verb, name in (("undo", "Undo", history.undo_name), ("redo", "Redo", history.redo_name)):
            actions[command_id].setEnabled(name is not None)
            actions[command_id].setText(verb if name is None else f"{verb} {name}")

    def show_selection() -> None:
        for command_id in ("cut", "copy", "delete"):
            actions[command_id].setEnabled(document.selection is not None)

    document.changed.connect(show_history)
    desk.changed.connect(show_history)
    window.middle.currentChanged.connect(show_history)
    window.performance.tabs.currentChanged.connect(show_history)
    document.selection_changed.connect(show_selection)
    show_history()
    show_selection()


def _connect_transport(window: MainWindow) -> None:
    actions, session, playhead, document = (
        window.actions_table,
        window.session,
        window.context.playhead,
        window.document,
    )
    actions.on("play", session.toggle_play)
    actions.on("stop", session.stop_playing)
    actions.on("rewind", lambda: playhead.seek(0.0))
    actions.on("end", lambda: playhead.seek(document.passage.duration_s))
    actions.on("cancel_render", session.cancel)
    actions.on("panic", window.parts.instrument.panic)

    def set_loop(is_on: bool) -> None:
        if not is_on:
            playhead.set_loop(None)
        elif playhead.loop is None:
            selection = document.selection
            playhead.set_loop(
                (selection.start_s, selection.end_s) if selection is not None else (0.0, document.passage.duration_s)
            )

    def set_follow(is_on: bool) -> None:
        window.follows = is_on

    actions["follow"].setChecked(window.follows)
    actions.on_toggle("loop", set_loop)
    actions.on_toggle("follow", set_follow)
    playhead.loop_changed.connect(lambda: actions["loop"].setChecked(playhead.loop is not None))

    def show_playing(is_playing: bool) -> None:
        actions["play"].setText("Pause" if is_playing else "Play")
        actions.use_icon("play", "pause" if is_playing else "play")

    session.playing_changed.connect(show_playing)


def _connect_view(window: MainWindow) -> None:
    actions, context, timeline, store = (window.actions_table, window.context, window.timeline, window.parts.store)
    actions.on("zoom_in", lambda: context.axis.zoom(_ZOOM_STEP))
    actions.on("zoom_out", lambda: context.axis.zoom(1 / _ZOOM_STEP))
    actions.on("fit", timeline.fit)

    def fit_selection() -> None:
        selection = context.document.selection
        stretch = (selection.start_s, selection.end_s) if selection is not None else context.playhead.loop
        context.axis.fit(*stretch) if stretch is not None else timeline.fit()

    actions.on("fit_selection", fit_selection)
    actions["beats"].setChecked(context.shows_beats)
    actions.on_toggle("beats", context.tools.set_beats)
    context.document.replaced.connect(lambda: actions["beats"].setChecked(context.shows_beats))
    actions.on_toggle("keyboard", window.keyboard.setVisible)
    actions["side"].setChecked(True)
    actions.on_toggle("side", window.side.setVisible)

    def choose_theme(choice: ThemeChoice) -> None:
        context.theme.choose(choice)
        store.change(replace(store.settings, theme=choice.value))

    def show_theme() -> None:
        actions[f"theme_{context.theme.choice.value}"].setChecked(True)

    for choice in ThemeChoice:
        actions.on(f"theme_{choice.value}", lambda chosen=choice: choose_theme(chosen))
    context.theme.changed.connect(show_theme)
    show_theme()
