"""Connects the performance page to the rest of the window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QKeySequence

from app.services import ControlLearnt
from synth.errors import UserError
from ui.performance.machine_dialog import MachineDialog
from ui.performance.mappings import source_title, target_title
from ui.performance.panic_key import PanicKey
from ui.performance.playing_bar import NO_INPUT

if TYPE_CHECKING:
    from app.services import Recorded
    from ui.window import MainWindow


def connect_performance(window: MainWindow) -> None:
    """Commands, events, and what the user does on the page."""
    page, actions, session, store = window.performance, window.actions_table, window.session, window.parts.store
    session.engine_ready.connect(page.take_engine)
    session.midi_arrived.connect(page.take_activity)
    session.control_learnt.connect(page.desk.take_learnt)
    session.control_learnt.connect(lambda event: _tell_learnt(window, event))
    session.recorded.connect(lambda event: _take_recorded(window, event))
    session.live_preset_changed.connect(lambda preset_id: _show_preset(window, preset_id))
    page.told.connect(lambda message, remedy, is_fault: window.notice.tell(message, remedy, "", is_fault))
    page.open_wanted.connect(lambda path: _open_take(window, path))
    page.show_midi(store.settings.midi_input)
    page.midi_chosen.connect(
        lambda name: store.change(replace(store.settings, midi_input=None if name == NO_INPUT else name))
    )
    store.changed.connect(lambda: page.show_midi(store.settings.midi_input))
    _follow_programs(window)
    actions.on_toggle("performance", lambda is_on: _show_page(window, is_on))
    actions.on_toggle("record", page.set_recording)
    actions.on("check_machine", lambda: MachineDialog(window).open())
    window.timeline.stack.learn_requested.connect(page.controls.learn_lane)
    page.desk.learning_changed.connect(lambda: _show_learning(window))
    window.panic_key = PanicKey(_keys(actions["panic"].shortcuts()), window.parts.instrument.panic, window)
    _show_preset(window, window.document.voice.preset)


def _follow_programs(window: MainWindow) -> None:
    """Numbers that are given and taken, and presets that come, go and change, are program changes' at once."""
    shelf, instrument = window.parts.presets, window.parts.instrument
    seen = [(shelf.library.programs, shelf.index)]

    def follow() -> None:
        programs, index = shelf.library.programs, shelf.index
        if programs != seen[0][0] or index is not seen[0][1]:  # favourites and recent ones are no concern of theirs
            seen[0] = programs, index
            instrument.programs_changed()

    shelf.changed.connect(follow)


def _keys(keys: list[QKeySequence]) -> list[QKeySequence]:
    return [QKeySequence(key) for key in keys]


def _show_page(window: MainWindow, is_on: bool) -> None:
    window.middle.setCurrentWidget(window.performance if is_on else window.timeline)


def _show_preset(window: MainWindow, preset_id: str | None) -> None:
    try:
        window.performance.show_preset(window.parts.presets.preset_of(preset_id))
    except UserError:  # played by a performance with presets that are not here
        window.performance.bar.show_preset(preset_id or "")


def _show_learning(window: MainWindow) -> None:
    """Where the page is not in front, the status line says what is waited for."""
    lane_id = window.performance.desk.learning
    window.status.show_other(f"Move a control for {target_title(lane_id)}…" if lane_id else "")


def _tell_learnt(window: MainWindow, event: ControlLearnt) -> None:
    message = f"{source_title(event.source)} moves {target_title(event.lane_id)} from now on."
    window.notice.tell(message, "Its range and curve are on the Controls page.", "", False)


def _take_recorded(window: MainWindow, event: Recorded) -> None:
    """What was played opens as a passage, unless that would put unsaved work away."""
    window.performance.take_recorded(event)
    if event.passage_path and not window.document.history.is_dirty:
        window.files.open_file(Path(event.passage_path))


def _open_take(window: MainWindow, path: Path) -> None:
    if window.files.may_leave() and window.files.open_file(path):
        window.actions_table["performance"].setChecked(False)
