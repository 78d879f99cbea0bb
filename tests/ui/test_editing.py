"""Mouse and keys change the passage, and undo brings it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.state.passage import Lane, Note, Passage, Voice
from tests.ui.gestures import at, drag, lane_of
from ui.tools.model import Selection
from ui.tools.toolbox import ToolName
from ui.window import MainWindow

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def test_pen_draws_in_an_undrawn_lane_and_undo_restores(window: MainWindow) -> None:
    before = window.document.passage
    drag(lane_of(window, "breathiness"), [(1.0, 0.2), (2.0, 0.5), (3.0, 0.9)])
    drawn = window.document.voice.lanes["breathiness"]
    assert drawn.value_at(1.0) == pytest.approx(0.2, abs=0.03)
    assert drawn.value_at(2.5) == pytest.approx(0.7, abs=0.03)
    assert window.actions_table["undo"].text() == "Undo Draw Breathiness"
    window.actions_table["undo"].trigger()
    assert window.document.passage == before
    window.actions_table["redo"].trigger()
    assert window.document.voice.lanes["breathiness"] == drawn


def test_pen_replaces_only_what_it_passes_over(window: MainWindow) -> None:
    drag(lane_of(window, "roughness"), [(3.0, 0.9), (3.5, 0.9), (4.0, 0.9)])
    lane = window.document.voice.lanes["roughness"]
    assert lane.value_at(3.5) == pytest.approx(0.9, abs=0.02)
    assert lane.value_at(1.0) == pytest.approx(0.2 + 0.6 / 8, abs=0.005)
    assert lane.value_at(6.0) == pytest.approx(0.2 + 0.6 * 6 / 8, abs=0.005)


def test_line_with_shift_is_level(window: MainWindow) -> None:
    window.context.tools.choose(ToolName.LINE)
    view = lane_of(window, "tension")
    QTest.mousePress(view, Qt.MouseButton.LeftButton, SHIFT, at(view, 1.0, 0.3))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, SHIFT, at(view, 5.0, 0.9))
    lane = window.document.voice.lanes["tension"]
    assert lane.points[0][1] == lane.points[-1][1] == pytest.approx(0.3, abs=0.02)
    assert lane.last_s - lane.first_s == pytest.approx(4.0, abs=0.05)


def test_escape_calls_a_stroke_off(window: MainWindow) -> None:
    view, before = lane_of(window, "fry"), window.document.passage
    QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at(view, 1.0, 0.3))
    QTest.mouseMove(view, at(view, 2.0, 0.8))
    QTest.keyClick(view, Qt.Key.Key_Escape)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at(view, 2.0, 0.8))
    assert window.document.passage == before


def test_right_drag_erases_with_any_tool(window: MainWindow) -> None:
    view = lane_of(window, "roughness")
    drag(view, [(2.0, 0.9), (3.0, 0.9), (4.0, 0.9)])
    drag(view, [(1.5, 0.5), (4.5, 0.5)], button=Qt.MouseButton.RightButton)
    lane = window.document.voice.lanes["roughness"]
    assert lane.value_at(3.0) < 0.6
    assert window.document.history.undo_name == "Erase Roughness"


def test_selection_moves_transposes_copies_and_deletes(window: MainWindow) -> None:
    document, view = window.document, lane_of(window, "roughness")
    drag(view, [(2.0, 0.5), (2.5, 0.9), (3.0, 0.5)])
    window.context.tools.choose(ToolName.SELECT)
    drag(view, [(1.8, 0.1), (3.2, 0.9)])
    assert document.selection is not None
    assert document.selection.lane_id == "roughness"
    peak = max(document.voice.lanes["roughness"].points, key=lambda point: point[1])
    window.actions_table["copy"].trigger()
    QTest.keyClick(view, Qt.Key.Key_Down, SHIFT)
    lowered = max(p for t, p in document.voice.lanes["roughness"].points if 1.9 < t < 3.1)
    assert lowered == pytest.approx(peak[1] - 0.1, abs=1e-6)
    window.context.playhead.show_position(5.0)
    window.actions_table["paste"].trigger()
    assert max(p for t, p in document.voice.lanes["roughness"].points if 4.9 < t < 6.3) == pytest.approx(peak[1])
    document.select(Selection("roughness", 4.9, 6.4))
    window.actions_table["delete"].trigger()
    assert not [t for t, _ in document.voice.lanes["roughness"].points if 4.9 <= t <= 6.4]


def test_notes_are_drawn_moved_resized_and_deleted(window: MainWindow) -> None:
    document, roll = window.document, window.timeline.roll
    window.context.tools.choose(ToolName.NOTE)
    drag(roll, [(4.0, 62.0), (4.5, 62.0), (5.0, 62.0)])
    assert len(document.voice.notes) == 3
    note = document.voice.notes[-1]
    assert (note.note, note.start_s, note.end_s) == (62.0, pytest.approx(4.0, abs=0.02), pytest.approx(5.0, abs=0.02))
    drag(roll, [(4.5, 62.0), (5.0, 64.0), (5.5, 64.0)])
    moved = document.voice.notes[-1]
    assert moved.note == 64.0
    assert moved.start_s == pytest.approx(5.0, abs=0.02)
    drag(roll, [(moved.end_s - 0.01, 64.0), (7.0, 64.0)])
    assert document.voice.notes[-1].end_s == pytest.approx(7.0, abs=0.02)
    QTest.mouseClick(roll, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier, at(roll, 6.0, 64.0))
    assert len(document.voice.notes) == 2
    for _ in range(4):
        document.undo()
    assert len(document.voice.notes) == 2


def test_rubber_band_selects_notes_and_arrows_transpose(window: MainWindow) -> None:
    window.context.tools.choose(ToolName.SELECT)
    roll = window.timeline.roll
    drag(roll, [(0.5, 63.0), (3.5, 55.0)])
    assert window.document.selection is not None
    assert window.document.selection.notes == {0, 1}
    QTest.keyClick(roll, Qt.Key.Key_Up, SHIFT)
    QTest.keyClick(roll, Qt.Key.Key_Down)
    assert [note.note for note in window.document.voice.notes] == [68.0, 71.0]


def test_eraser_in_the_roll_deletes_the_notes_it_touches(window: MainWindow) -> None:
    window.context.tools.choose(ToolName.ERASE)
    drag(window.timeline.roll, [(1.5, 57.0), (1.6, 57.0)])
    assert [note.note for note in window.document.voice.notes] == [60.0]


def test_pitch_drawn_beside_the_notes_is_given_a_note_and_leaves_others_alone(window: MainWindow) -> None:
    roll = window.timeline.roll
    drag(roll, [(0.1, 64.0), (0.5, 66.0), (0.8, 65.0)])
    drag(roll, [(5.0, 60.0), (5.5, 63.0), (6.0, 62.0)])
    window.context.asked.finish()
    asked = window.context.asked
    assert asked.values("presence")[550] == 1.0
    assert asked.values("pitch")[550] == pytest.approx(63.0, abs=0.5)
    assert asked.values("pitch")[150] == pytest.approx(57.0, abs=0.01)
    assert asked.values("pitch")[280] == pytest.approx(60.0, abs=0.01)


def test_pitch_drawn_in_an_empty_passage_sings(make_window: Callable[..., MainWindow]) -> None:
    window = make_window(Passage(4.0))
    drag(window.timeline.roll, [(0.5, 57.0), (1.5, 60.0), (3.0, 55.0)])
    window.context.asked.finish()
    assert window.context.asked.values("presence")[150] > 0.9


def test_snapping_puts_lines_on_the_grid(window: MainWindow) -> None:
    window.actions_table["snap"].trigger()
    window.context.tools.choose(ToolName.LINE)
    drag(lane_of(window, "fry"), [(1.013, 0.2), (3.04, 0.8)])
    step_s = window.context.snap().step_s
    for t_s, _ in window.document.voice.lanes["fry"].points:
        assert t_s / step_s == pytest.approx(round(t_s / step_s), abs=1e-6)


def _wheel(widget: QWidget, notches: int, modifiers: Qt.KeyboardModifier) -> None:
    place = QPointF(widget.width() / 2, widget.height() / 2)
    event = QWheelEvent(
        place,
        widget.mapToGlobal(place),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_wheel_zooms_about_the_pointer_and_scrolls(window: MainWindow) -> None:
    axis, view = window.context.axis, lane_of(window, "loudness")
    middle = view.width() / 2
    anchored_s, scale = axis.view.t_of(middle), axis.view.px_per_s
    _wheel(view, 3, CONTROL)
    assert axis.view.px_per_s > scale * 1.3
    assert axis.view.t_of(middle) == pytest.approx(anchored_s, abs=0.02)
    start_s = axis.view.start_s
    _wheel(view, -2, SHIFT)
    assert axis.view.start_s > start_s
    top = window.timeline.roll.scale().top
    _wheel(window.timeline.roll, 1, Qt.KeyboardModifier.NoModifier)
    assert window.timeline.roll.scale().top > top
    window.actions_table["fit"].trigger()
    assert axis.view.end_s >= 8.0


def test_arrow_key_draws_at_the_playhead_where_nothing_is_selected(window: MainWindow) -> None:
    view = lane_of(window, "tension")
    window.context.playhead.show_position(2.0)
    QTest.keyClick(view, Qt.Key.Key_Up)
    assert window.document.voice.lanes["tension"].points == ((2.0, pytest.approx(0.51)),)


def test_voices_are_added_and_edited_apart(window: MainWindow) -> None:
    panel = window.voice_panel
    panel.add.click()
    assert window.document.voice_index == 1
    drag(lane_of(window, "fry"), [(1.0, 0.2), (2.0, 0.6)])
    assert "fry" not in window.document.passage.voices[0].lanes
    seed = window.document.voice.seed
    window.actions_table["new_take"].trigger()
    assert window.document.voice.seed != seed
    panel.gain.setValue(-6.0)
    assert window.document.voice.gain_db == -6.0
    panel.remove.click()
    assert len(window.document.passage.voices) == 1


def test_impossible_edits_are_told_and_change_nothing(window: MainWindow) -> None:
    before = window.document.passage
    window.voice_panel.seed.setText("-3")
    window.voice_panel.seed.editingFinished.emit()
    assert window.document.passage == before
    assert "not a seed" in window.notice.text
    assert window.voice_panel.seed.text() == "0"


def test_clearing_a_lane_lets_the_preset_speak(make_window: Callable[..., MainWindow]) -> None:
    voice = Voice(notes=(Note(0.0, 1.0, 57.0),), lanes={"fry": Lane(((0.0, 1.0),))})
    window = make_window(Passage(2.0, voices=(voice,)))
    window.document.clear_lane("fry")
    window.context.asked.finish()
    assert "fry" not in window.document.voice.lanes
    assert window.context.asked.values("fry").max() < 0.5
