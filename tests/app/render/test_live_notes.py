"""Held notes: what controllers do to cells not yet heard, and not to those that were."""

from __future__ import annotations

import numpy as np

from app.render.cache import CellCache
from app.render.live_notes import LiveNotes
from app.render.messages import LiveCell
from app.render.voice import never
from app.state.preset import NEUTRAL_PRESET
from tests.app.render.fake_engine import FakeEngine


def _cell(index: int, *, ticket: int = 1, note: float = 60.0, **hands: object) -> LiveCell:
    return LiveCell(ticket, NEUTRAL_PRESET, note, 96, index, 5, **hands)  # pyright: ignore[reportArgumentType]


def test_a_note_samples_one_window_ahead_and_a_repeat_comes_from_the_cache() -> None:
    engine, cache = FakeEngine(), CellCache()
    notes = LiveNotes(engine, cache)
    first = [notes.cell(_cell(index), never) for index in range(3)]
    assert engine.sampled == [0, 1, 2, 3]
    again = [LiveNotes(engine, cache).cell(_cell(index, ticket=2), never) for index in range(3)]
    assert engine.sampled == [0, 1, 2, 3]
    assert all(np.array_equal(a, b) for a, b in zip(first, again))


def test_a_knob_enters_after_what_has_been_heard() -> None:
    engine = FakeEngine()
    notes = LiveNotes(engine, CellCache())
    notes.cell(_cell(0), never)
    notes.cell(_cell(1), never)
    engine.sampled.clear()
    engine.windows.clear()
    notes.cell(_cell(2, lanes={"roughness": 0.8, "bend": 2.0}, loudness_offset_db=-6.0), never)
    assert engine.sampled == [2, 3]  # window 1, which has been heard, is as it was
    window = engine.windows[0].values
    assert window["roughness"][31] == 0.0
    assert window["roughness"][-1] == np.float32(0.8)
    assert (window["pitch"][31], window["pitch"][-1]) == (60.0, 62.0)
    assert window["loudness"][-1] - window["loudness"][0] == np.float32(-6.0)
    engine.windows.clear()
    notes.cell(_cell(3), never)  # hands off: back to the preset
    assert engine.windows[-1].values["roughness"][-1] == 0.0


def test_controllers_touched_before_the_note_hold_from_its_onset() -> None:
    engine = FakeEngine()
    LiveNotes(engine, CellCache()).cell(_cell(0, lanes={"fry": 0.6}), never)
    assert np.all(engine.windows[0].values["fry"] == np.float32(0.6))


def test_notes_beyond_the_voice_are_sung_at_its_edge() -> None:
    engine = FakeEngine()
    LiveNotes(engine, CellCache()).cell(_cell(0, note=127.0), never)
    assert np.all(engine.windows[0].values["pitch"] == 96.0)
