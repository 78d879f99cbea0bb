"""Pictures are written with what they claim to show."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.errors import UserError
from synth.evaluate.contact_sheets import STEPS, lane_edges, lane_tile, write_contact_sheet
from synth.evaluate.held_notes import held_notes
from synth.evaluate.singing import Singer
from tests.synth.evaluate.known_engines import KnownEngine
from tests.synth.evaluate.known_voices import stored_recordings, voice


def test_steps_span_the_lane_and_are_measured() -> None:
    engine: Any = KnownEngine()
    tiles = [lane_tile(Singer(engine, "draft"), "loudness", step, seed=0) for step in STEPS]
    asked = [asked for _, asked, _ in tiles]
    assert (asked[0], asked[-1]) == lane_edges("loudness")
    for tile, wanted, measured in tiles:
        assert measured == pytest.approx(wanted, abs=1.0)
        assert len(tile.audio) == 480 * len(tile.measured["loudness"]) == 480 * len(tile.asked["loudness"])


@pytest.mark.evaluation
def test_sheets_are_written_and_described(tmp_path: Path) -> None:
    engine: Any = KnownEngine()
    made = write_contact_sheet(engine, tmp_path / "sheets", lanes=("loudness",), techniques=("growl",))
    assert [sheet.path.name for sheet in made.sheets] == ["lane-loudness.png", "technique-growl.png"]
    for sheet in made.sheets:
        assert sheet.path.read_bytes().startswith(b"\x89PNG")
        assert sheet.path.stat().st_size > 20_000
    assert [asked for asked, _ in made.sheets[0].steps] == list(np.linspace(-50.0, -10.0, 5))
    assert json.dumps(made.to_json(), allow_nan=False)
    assert len(made.lines()) == 2


@pytest.mark.evaluation
def test_real_recordings_stand_beside(tmp_path: Path) -> None:
    engine: Any = KnownEngine()
    corpus_dir = stored_recordings(tmp_path / "corpus", [voice(1.4, seed) for seed in range(3)])
    made = write_contact_sheet(
        engine, tmp_path / "sheets", corpus_dir=corpus_dir, lanes=("loudness",), techniques=("modal", "fry")
    )
    assert {sheet.name: sheet.n_real for sheet in made.sheets} == {"loudness": 3, "modal": 3, "fry": 0}


def test_held_notes_are_found_in_a_corpus(tmp_path: Path) -> None:
    corpus_dir = stored_recordings(tmp_path, [voice(1.4, seed, wander=0.1) for seed in range(2)])
    notes = held_notes(corpus_dir, 1.0)
    assert [note.technique for note in notes] == ["modal", "modal"]
    assert all(1.0 <= note.duration_s <= 1.2 for note in notes)
    with pytest.raises(UserError, match="no real note of 5 s"):
        held_notes(corpus_dir, 5.0)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    engine: Any = KnownEngine()
    with pytest.raises(UserError, match="matplotlib"):
        write_contact_sheet(engine, tmp_path, lanes=("loudness",), techniques=())
