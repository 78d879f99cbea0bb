"""Pen, line, eraser, notes, voices, selections, history, dirty ranges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state import edits
from app.state.dirty import dirty_range
from app.state.history import History
from app.state.passage import Lane, Note, Passage, Voice
from app.state.resolve import resolve
from app.state.selection import (
    Selection,
    copy_selection,
    delete_selection,
    move_selection,
    paste,
    select_range,
    transpose,
)
from app.state.strokes import last_pass_wins, simplify
from synth.errors import UserError
from tests.app.state.strategies import DURATION_S, notes, passages, presets, times

EMPTY = Passage(10.0)
RAMP = edits.set_lane(EMPTY, 0, "tension", Lane(((0.0, 0.0), (10.0, 1.0))))


def curve(passage: Passage, lane_id: str = "tension") -> Lane:
    return passage.voices[0].lanes[lane_id]


def test_a_stroke_replaces_what_is_under_it_and_nothing_else() -> None:
    track = [(2 + index * 0.01, 0.5 + 0.4 * float(np.sin(index / 20))) for index in range(301)]
    drawn = curve(edits.draw_points(RAMP, 0, "tension", track))
    for t_s in (0.0, 1.0, 1.98, 5.02, 7.5, 10.0):
        assert abs(drawn.value_at(t_s) - curve(RAMP).value_at(t_s)) < 1e-6
    errors = [abs(drawn.value_at(t_s) - value) for t_s, value in track]
    assert max(errors) <= edits.STROKE_TOLERANCE + 1e-6
    assert len(drawn.points) < 100  # of 301: the breakpoints stay editable by hand


def test_a_stroke_stops_at_the_edge_of_the_paper() -> None:
    drawn = curve(edits.draw_points(EMPTY, 0, "tension", [(-1.0, -3.0), (5.0, 0.8), (12.0, 9.0)]))
    assert drawn.points == ((0.0, 0.0), (5.0, 0.8), (10.0, 1.0))


def test_a_scribble_keeps_to_its_budget() -> None:
    rng = np.random.default_rng(3)
    track = [(t_s, float(rng.uniform())) for t_s in np.linspace(1, 3, 2000)]
    n_points = len(curve(edits.draw_points(EMPTY, 0, "tension", track)).points)
    assert n_points == edits.STROKE_MIN_POINTS + 2 * edits.STROKE_POINTS_PER_S


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(times(10.0), st.floats(0, 1)), min_size=1, max_size=30))
def test_any_track_is_a_curve_that_ends_where_the_pen_was_lifted(track: list[tuple[float, float]]) -> None:
    stroke = last_pass_wins(track)
    assert all(a[0] < b[0] for a, b in itertools.pairwise(stroke))
    assert track[-1] in stroke
    assert curve(edits.draw_points(RAMP, 0, "tension", track)).points


def test_simplify_keeps_a_corner_and_drops_a_line() -> None:
    points = [(t / 10, abs(t - 30) / 30) for t in range(61)]
    assert simplify(points, tolerance=1e-6, max_points=50) == (points[0], points[30], points[60])


def test_line_and_eraser() -> None:
    passage = edits.draw_line(EMPTY, 0, "fry", (4.0, 1.0), (2.0, 0.0))
    assert curve(passage, "fry").points == ((2.0, 0.0), (4.0, 1.0))
    passage = edits.erase_range(passage, 0, "fry", 3.0, 5.0)
    assert curve(passage, "fry").points == ((2.0, 0.0),)
    assert "fry" not in edits.erase_range(passage, 0, "fry", 0.0, 5.0).voices[0].lanes
    assert edits.erase_range(EMPTY, 0, "fry", 0.0, 5.0) is EMPTY


def test_notes_are_added_resized_and_deleted() -> None:
    passage = edits.add_note(edits.add_note(EMPTY, 0, Note(5, 1, 60)), 0, Note(1, 1, 62))
    assert [note.note for note in passage.voices[0].notes] == [62, 60]
    passage = edits.replace_note(passage, 0, 0, Note(9.5, 3, 62))
    assert passage.voices[0].notes[1] == Note(9.5, 0.5, 62)  # shortened at the passage's end
    assert edits.delete_notes(passage, 0, [1]).voices[0].notes == (Note(5, 1, 60),)


def test_voices() -> None:
    passage = edits.add_voice(edits.add_voice(EMPTY))
    assert [voice.name for voice in passage.voices] == ["Voice 1", "Voice 2", "Voice 3"]
    passage = edits.add_voice(edits.remove_voice(passage, 1))
    assert len({voice.name for voice in passage.voices}) == 3
    passage = edits.set_seed(edits.set_preset(edits.rename_voice(passage, 0, "Alt"), 0, "growl"), 0, 9)
    assert (passage.voices[0].name, passage.voices[0].preset, passage.voices[0].seed) == ("Alt", "growl", 9)
    assert edits.set_mix(passage, 0, gain_db=-3.0).voices[0].gain_db == -3.0
    with pytest.raises(UserError, match="at least one voice"):
        edits.remove_voice(EMPTY, 0)


def test_cutting_a_passage_keeps_what_lies_before_the_cut() -> None:
    passage = edits.add_note(edits.add_note(RAMP, 0, Note(3, 3, 60)), 0, Note(7, 1, 60))
    cut = edits.set_duration(passage, 5.0)
    assert cut.voices[0].notes == (Note(3, 2, 60),)
    assert curve(cut).points == ((0.0, 0.0), (5.0, 0.5))
    assert edits.set_duration(cut, 10.0).duration_s == 10.0


def test_selecting_moving_copying_and_pasting() -> None:
    passage = edits.add_note(edits.draw_points(EMPTY, 0, "pitch", [(1, 60), (2, 64), (3, 62)]), 0, Note(1.5, 1, 50))
    selection = select_range(passage, 0, 1.4, 2.4, lane_ids=["pitch", "fry"])
    assert selection == Selection(frozenset({0}), {"pitch": frozenset({1})})
    moved, selected = move_selection(passage, 0, selection, by_s=0.5, by_semitones=1.0)
    assert moved.voices[0].notes == (Note(2.0, 1, 51),)
    assert curve(moved, "pitch").points == ((1.0, 60.0), (2.5, 65.0), (3.0, 62.0))
    assert selected.points["pitch"] == frozenset({1})
    stopped, _ = move_selection(passage, 0, selection, by_s=-99.0)
    assert stopped.voices[0].notes[0].start_s == 0.0
    up, _ = transpose(passage, 0, selection, 99.0)
    assert up.voices[0].notes[0].note == 96.0
    pasted, _ = paste(passage, 0, copy_selection(passage, 0, selection), 7.0)
    assert pasted.voices[0].notes[1] == Note(7.0, 1, 50)
    assert curve(pasted, "pitch").points[-1] == (7.5, 64.0)
    late, _ = paste(passage, 0, copy_selection(passage, 0, selection), 9.6)
    assert late.voices[0].notes[1].end_s == pytest.approx(10.0)
    assert delete_selection(passage, 0, selection).voices[0].notes == ()


def test_undo_redo_groups_and_dirtiness() -> None:
    history = History(EMPTY, capacity=3)
    assert not history.is_dirty
    assert history.undo_name is None
    history.begin_group("Draw tension")
    for end_s in (1.0, 2.0, 3.0):
        history.push("pen", edits.draw_line(history.passage, 0, "tension", (0.0, 0.0), (end_s, 1.0)))
    history.end_group()
    assert history.undo_name == "Draw tension"
    assert history.is_dirty
    assert history.undo() is EMPTY
    assert not history.is_dirty
    assert history.redo_name == "Draw tension"
    drawn = history.redo()
    history.mark_saved()
    history.push("Change seed", edits.set_seed(drawn, 0, 5))
    assert history.is_dirty
    assert history.redo_name is None
    assert history.undo() is drawn
    assert not history.is_dirty
    for seed in range(1, 8):
        history.push("Change seed", edits.set_seed(history.passage, 0, seed))
    for _ in range(9):
        history.undo()
    assert history.passage.voices[0].seed == 4  # three steps are kept
    history.begin_group("nothing")
    history.end_group()
    assert history.redo_name == "Change seed"  # a group without a change is no step
    history.begin_group("abandoned")
    history.push("pen", EMPTY)
    assert history.cancel_group().voices[0].seed == 4


@settings(max_examples=150, deadline=None)
@given(passages(n_voices=1), presets(), st.data())
def test_outside_the_dirty_ranges_nothing_changes(passage: Passage, preset, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["draw", "erase", "note", "delete", "lane", "duration"]))
    a_s, b_s = sorted((data.draw(times()), data.draw(times())))
    lane_id = data.draw(st.sampled_from(["pitch", "bend", "tension", "technique.fry", *passage.voices[0].lanes]))
    if kind == "draw":
        new = edits.draw_points(passage, 0, lane_id, [(a_s, 0.3), (b_s, 0.6)])
    elif kind == "erase":
        new = edits.erase_range(passage, 0, lane_id, a_s, b_s)
    elif kind == "note":
        new = edits.add_note(passage, 0, data.draw(notes()))
    elif kind == "delete":
        new = edits.delete_notes(passage, 0, [data.draw(st.integers(0, 5))])
    elif kind == "lane":
        new = edits.set_lane(passage, 0, lane_id, None)
    else:
        new = edits.set_duration(passage, max(b_s, 0.1))
    before = resolve(passage, passage.voices[0], preset, 0, 620)
    after = resolve(new, new.voices[0], preset, 0, 620)
    differs = np.zeros(620, dtype=bool)
    for name in before.values.keys() | after.values.keys():
        if name not in before.values or name not in after.values:
            differs[:] = True  # an adapter that came or went is dirty from end to end
            continue
        differs |= before.values[name] != after.values[name]
    ranges = dirty_range(passage, new, ramp_s=preset.attack_s + preset.release_s)[0]
    centres_s = (np.arange(620) + 0.5) / 100
    covered = np.zeros(620, dtype=bool)
    for start_s, end_s in ranges:
        covered |= (centres_s >= start_s - 1e-9) & (centres_s <= end_s + 1e-9)
    assert not (differs & ~covered)[: int(DURATION_S * 100)].any(), (ranges, np.flatnonzero(differs & ~covered))


def test_dirty_ranges_are_narrow_where_they_can_be() -> None:
    many = Lane(tuple((t / 2, 0.5) for t in range(21)))
    passage = edits.set_lane(EMPTY, 0, "tension", many)
    changed = edits.draw_points(passage, 0, "tension", [(4.2, 0.9), (4.4, 0.9)])
    ((start_s, end_s),) = dirty_range(passage, changed)[0]
    assert start_s >= 3.5
    assert end_s <= 5.0
    assert dirty_range(passage, passage) == ((),)
    assert dirty_range(passage, edits.set_seed(passage, 0, 3)) == (((0.0, 10.0),),)
    assert dirty_range(passage, edits.set_mix(passage, 0, gain_db=3.0)) == ((),)
    assert dirty_range(passage, edits.add_voice(passage))[1] == ((0.0, 10.0),)
    assert isinstance(passage.voices[0], Voice)
