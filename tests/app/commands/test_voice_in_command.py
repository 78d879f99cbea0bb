"""What a recording would play live, as a passage."""

from __future__ import annotations

import numpy as np
import pytest

from app.commands.evaluate.voice_in import guided_passage
from synth.errors import UserError
from synth.evaluate.voice_in.report import partials


def test_two_phrases_are_two_notes_with_their_pitch_and_lanes() -> None:
    silence = np.zeros(24_000, dtype=np.float32)
    rising = partials(np.geomspace(220.0, 247.0, 24_000))
    passage = guided_passage(
        np.concatenate((silence, rising, silence, partials(np.full(24_000, 330.0)), silence)), 48_000
    )
    assert len(passage.voices) == 1
    notes = passage.voices[0].notes
    assert [round(note.note) for note in notes] == [57, 64]
    assert notes[0].start_s == pytest.approx(0.5, abs=0.05)
    assert notes[1].start_s == pytest.approx(1.5, abs=0.05)
    bends = dict(passage.voices[0].lanes["bend"].points)
    assert max(value for t_s, value in bends.items() if t_s < 1.0) == pytest.approx(2.0, abs=0.1)
    assert {"loudness", "breathiness", "roughness", "technique.modal"} <= set(passage.voices[0].lanes)


def test_silence_plays_nothing() -> None:
    with pytest.raises(UserError, match="Nothing"):
        guided_passage(np.zeros(48_000, dtype=np.float32), 48_000)
