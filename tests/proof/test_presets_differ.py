"""Factory presets are different voices: measured from their sound, not read from their files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from app.state.resolve import resolve
from app.store.presets import FACTORY_FOLDER, list_presets
from synth.engine import Engine
from synth.evaluate.singing import Gesture, Singer
from synth.features.analysis import analyse

pytestmark = pytest.mark.weights

SEEDS = (3, 4)
SECONDS = 1.6
# What a listener tells voices apart by, and how far apart in each lane's unit is plainly audible.
AUDIBLE = {"breathiness": 0.15, "roughness": 0.15, "fry": 0.15, "tension": 0.12, "loudness": 4.0, "pitch": 3.0}


def sung(singer: Singer, preset: Preset, seed: int) -> dict[str, float]:
    note = preset.lane_defaults.get("pitch", 55.0)
    voice = Voice(preset=preset.id, seed=seed, notes=(Note(0.1, SECONDS - 0.2, note),))
    passage = Passage(SECONDS, voices=(voice,))
    controls = resolve(passage, voice, preset, 0, int(SECONDS * 100))
    analysis = analyse(singer.sing(Gesture(controls), seed))
    middle = slice(40, 120)
    return {lane: float(np.nanmean(analysis.lanes[lane][middle])) for lane in AUDIBLE if lane != "pitch"} | {
        "pitch": note
    }


@pytest.fixture(scope="module")
def heard() -> dict[str, list[dict[str, float]]]:
    singer = Singer(Engine.load(None, "cpu", 2), "draft")
    return {preset.id: [sung(singer, preset, seed) for seed in SEEDS] for preset in list_presets([FACTORY_FOLDER])}


def test_there_are_at_least_five(heard: dict[str, list[dict[str, float]]]) -> None:
    assert len(heard) >= 5


def test_every_two_differ_audibly_and_beyond_their_seeds(heard: dict[str, list[dict[str, float]]]) -> None:
    alike = []
    for (one, ones), (other, others) in itertools.combinations(heard.items(), 2):
        apart = 0
        for lane, audible in AUDIBLE.items():
            values = [[take[lane] for take in takes] for takes in (ones, others)]
            spread = max(np.ptp(values[0]), np.ptp(values[1]))
            apart += abs(np.mean(values[0]) - np.mean(values[1])) > max(audible, spread)
        if apart == 0:
            alike.append((one, other))
    assert not alike


def test_presets_are_what_they_are_called(heard: dict[str, list[dict[str, float]]]) -> None:
    mean = {
        name: {lane: float(np.mean([take[lane] for take in takes])) for lane in AUDIBLE}
        for name, takes in heard.items()
    }
    assert mean["whisper_sigh"]["breathiness"] > mean["airy_modal"]["breathiness"] + 0.3
    assert mean["growl"]["roughness"] > mean["airy_modal"]["roughness"] + 0.2
    assert mean["scream"]["loudness"] > mean["whisper_sigh"]["loudness"] + 8.0
    assert mean["vocal_fry"]["fry"] > mean["airy_modal"]["fry"] + 0.2
