"""A voice at one moment, kept as a preset."""

from __future__ import annotations

import pytest

from app.state.capture import capture
from app.state.passage import Lane, Note, Passage, Voice
from app.state.places import PlacedError
from app.state.resolve import resolve
from app.store.presets import FACTORY_COLLECTION, FACTORY_FOLDER, load_preset
from synth.spec.lanes import LANES


@pytest.mark.parametrize("preset_id", ["creaky_scream", "whisper_to_scream", "growl_awakes"])
def test_a_captured_voice_sings_as_it_did_at_that_moment(preset_id: str) -> None:
    preset = load_preset(preset_id, [FACTORY_FOLDER, FACTORY_COLLECTION])
    lanes = {"fry": Lane(((0.0, 0.0), (2.0, 1.0))), "technique.sigh": Lane(((0.0, 0.25),))}
    voice = Voice(notes=(Note(0.0, 3.0, 60),), lanes=lanes)
    passage = Passage(4.0, voices=(voice,))
    kept = capture(passage, voice, preset, 1.2)
    assert kept.gestures == {}
    assert kept.author == preset.author
    plain = Voice(notes=(Note(0.0, 3.0, 60),))
    wanted = resolve(passage, voice, preset, 120, 1).values
    found = resolve(passage, plain, kept, 250, 1).values
    for spec in LANES:
        if spec.id != "presence":
            assert found[spec.id][0] == pytest.approx(wanted[spec.id][0], abs=0.006), spec.id


def test_a_moment_outside_the_passage_is_told() -> None:
    passage = Passage(1.0, voices=(Voice(),))
    with pytest.raises(PlacedError, match="t_s: 2 is above 1"):
        capture(passage, passage.voices[0], load_preset("growl", [FACTORY_FOLDER]), 2.0)
