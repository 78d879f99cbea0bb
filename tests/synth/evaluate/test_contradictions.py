"""Grace and direction: known engines that obey, ignore, defy, click, fall silent or break."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from synth.evaluate.contradictions import REQUESTS, Request, controls_of, run_contradictions
from synth.evaluate.grace import count_clicks, grace_of
from synth.evaluate.singing import neutral_controls
from synth.spec import HOP_SAMPLES, LANE_IDS, SAMPLE_RATE_HZ, Float32Array
from tests.synth.evaluate.known_engines import KnownEngine

LOUDER = Request("louder", {"loudness": -12.0}, {"loudness": -40.0}, "loudness", 1)
FRIED = Request("fry that this voice has not", {"fry": 1.0}, {"fry": 0.0}, "fry", 1)
FLICKER = next(request for request in REQUESTS if request.name == "presence flickers at 5 Hz")


def sung(n_frames: int = 160, level: float = 0.1, f0_hz: float = 110.0) -> Float32Array:
    t_s = np.arange(n_frames * HOP_SAMPLES) / SAMPLE_RATE_HZ
    wave = np.sum([np.sin(2.0 * np.pi * k * f0_hz * t_s) / k for k in range(1, 30)], axis=0)
    return (level * wave).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [33.0, 110.0, 400.0])
def test_pulses_are_no_clicks_and_a_jump_among_them_is_one(f0_hz: float) -> None:
    t_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pulses = np.zeros(SAMPLE_RATE_HZ)
    pulses[(np.arange(1, int(f0_hz)) / f0_hz * SAMPLE_RATE_HZ).astype(int)] = 1.0
    ringing = np.exp(-t_s[:2400] * 300.0) * np.sin(2.0 * np.pi * 700.0 * t_s[:2400])
    voice = 0.3 * np.convolve(pulses, ringing)[:SAMPLE_RATE_HZ].astype(np.float32)
    assert count_clicks(voice) == 0
    broken = voice.copy()
    broken[20_011:] += 0.4
    assert count_clicks(broken) == 1


def test_noise_does_not_click() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE_HZ).astype(np.float32)
    assert count_clicks(noise) == 0
    assert count_clicks(np.zeros(4_800, dtype=np.float32)) == 0


def test_grace_names_every_fault() -> None:
    controls = neutral_controls(160, {"loudness": -20.0})
    assert grace_of(sung(), controls).faults == ()
    broken = sung()
    broken[100] = np.nan
    assert grace_of(broken, controls).faults == ("not finite",)
    (fault,) = grace_of(sung(level=0.9), controls).faults
    assert "too loud" in fault
    gap = sung()
    gap[20_000:40_000] *= 1e-4
    assert any("silent for 0.3" in words for words in grace_of(gap, controls).faults)
    # Where nobody is asked to sing, silence is no fault.
    presence = np.ones(160, dtype=np.float32)
    presence[30:100] = 0.0
    paused = neutral_controls(160, {"loudness": -20.0, "presence": presence})
    assert not any("silent" in words for words in grace_of(gap, paused).faults)


def test_an_obedient_engine_obeys_and_a_deaf_one_does_not() -> None:
    engine: Any = KnownEngine()
    report = run_contradictions(engine, n_seeds=3, requests=(LOUDER, FRIED, FLICKER))
    verdicts = {answer.name: answer.verdict for answer in report.answers}
    assert verdicts[LOUDER.name] == "obeys"
    assert verdicts[FLICKER.name] == "obeys"
    assert verdicts[FRIED.name] in ("undecided", "inaudible", "unmeasured")
    louder = report.answers[0]
    assert louder.moved.value == pytest.approx(28.0, abs=1.0)
    # This engine starts its phase anew in every cell, and that is found out as well.
    assert all(words.endswith("clicks") for words in louder.faults)
    assert louder.graces[0].overshoot_db < 1.0
    json.dumps(report.to_json(), allow_nan=False)
    assert "2 of 3 requests move as asked" in report.lines()[0]


def test_an_engine_that_does_the_opposite_defies() -> None:
    class Contrary(KnownEngine):
        """Whispers when it is asked to shout."""

        def sample_cell(self, window: Any, **others: Any) -> Float32Array:
            latents = super().sample_cell(window, **others)
            latents[1] = -50.0 - latents[1]
            return latents

    engine: Any = Contrary()
    report = run_contradictions(engine, n_seeds=3, requests=(LOUDER,))
    assert report.answers[0].verdict == "defies"


def test_an_engine_that_breaks_is_reported_and_not_raised() -> None:
    class Broken(KnownEngine):
        """Not a number in every cell."""

        def decode_cell(self, *arguments: Any, **others: Any) -> Float32Array:
            audio = super().decode_cell(*arguments, **others)
            audio[7] = np.nan
            return audio

    engine: Any = Broken()
    report = run_contradictions(engine, n_seeds=2, requests=(LOUDER,))
    assert report.answers[0].faults == ("not finite",)
    assert report.answers[0].verdict == "unmeasured"


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.name)
def test_every_request_differs_from_its_neighbour_and_can_be_sung(request_: Request) -> None:
    asked, beside = (controls_of(request_, 3, neighbour=is_neighbour) for is_neighbour in (False, True))
    differs = [name for name in LANE_IDS if not np.array_equal(asked.values[name], beside.values[name])]
    # A flickering presence is measured against its own pauses, ranges are left in every lane at once.
    assert differs or request_.measure is None
    assert all(np.isfinite(values).all() for values in asked.values.values())
    assert request_.direction in ((-1, 1) if request_.measure else (0,)), "a measure has a direction"
