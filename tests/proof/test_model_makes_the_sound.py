"""Proof, with the model that is shipped, that the diffusion model makes the sound and the lanes steer it.

Small samples and careful thresholds; `stridor evaluate` measures the same with many. Everything is measured on what
the decoder gives, before any gate, gain or limiter.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.commands.evaluate_edits import evaluate_determinism, gesture_passage, in_another_process
from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.files import read_audio
from app.render.grid import n_samples_of
from app.render.measuring import StemMeasurer
from app.render.renderer import Renderer, RenderRequest
from synth.corpus.simulator import simulate_random
from synth.engine import Engine
from synth.evaluate.controls import FIGURE_LANES, ControlsPlan, evaluate_controls
from synth.evaluate.distances import MEASURES, Sound, log_mel_distance
from synth.evaluate.proof import ABLATIONS, Ablation, evaluate_ablations
from synth.evaluate.recordings import Recording, extracted
from synth.evaluate.silence import evaluate_silence
from synth.evaluate.singing import Singer
from synth.spec import SAMPLE_RATE_HZ

pytestmark = [pytest.mark.weights, pytest.mark.leaves("sampler_")]  # an engine's threads end with it

QUALITY = "draft"
VOICES = Path(__file__).parent.parent / "fixtures" / "voices"
# Seeds whose simulated gestures are in the test part of the corpus.
SIMULATED = {"modal": 121, "whisper": 168, "growl": 205}
_GESTURE_S = 3.2


@pytest.fixture(scope="module")
def singer() -> Iterator[Singer]:
    engine = Engine.load(device="cpu")
    yield Singer(engine, QUALITY)
    engine.close()


@pytest.fixture(scope="module")
def simulated() -> list[Recording]:
    return [
        Recording(f"{name}-{seed}", name, simulate_random(seed, _GESTURE_S, name).audio)
        for name, seed in SIMULATED.items()
    ]


@pytest.fixture(scope="module")
def ablations(singer: Singer) -> tuple[Ablation, ...]:
    """Held-out voices of every label sung with two seeds, whole and ablated."""
    with (VOICES / "catalog.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recordings = [Recording(row["file"], row["label"], read_audio(VOICES / row["file"])) for row in rows]
    return evaluate_ablations(singer, recordings)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ABLATIONS)
def test_real_voices_get_worse_without_their_latents(ablations: tuple[Ablation, ...], name: str, measure: str) -> None:
    """Beyond the interval of the paired differences, by every measure."""
    (found,) = (each for each in ablations if (each.ablation, each.measure) == (name, measure))
    assert found.worsening.n >= 16
    assert found.is_worse, found


def test_two_seeds_are_two_takes_of_the_same_lanes(singer: Singer, simulated: list[Recording]) -> None:
    """Different everywhere, yet nearer to each other than to another gesture."""
    gestures = [extracted(Sound.of(recording.audio).analysis) for recording in simulated]
    takes = [[Sound.of(singer.sing(gesture, seed)) for seed in (0, 1)] for gesture in gestures]
    for index, (first, second) in enumerate(takes):
        counts = gestures[index].controls.values["presence"] > 0.5
        between_seeds = log_mel_distance(first.log_mel_db, second.log_mel_db, counts)
        assert not np.array_equal(first.audio, second.audio)
        assert 0.5 < between_seeds < 12.0
        other = takes[(index + 1) % len(takes)][0]
        assert between_seeds < log_mel_distance(first.log_mel_db, other.log_mel_db, counts)


def test_silence_is_the_models_own(singer: Singer) -> None:
    report = evaluate_silence(singer, seeds=(0,), techniques=("modal", "whisper", "growl"))
    assert report.lowest_db > 50.0, report.passages


def test_lanes_are_obeyed(singer: Singer) -> None:
    report = evaluate_controls(singer, ControlsPlan(lanes=FIGURE_LANES, n_segments=16))
    for lane in report.lanes:
        assert lane.rho.value > 0.6, (lane.lane_id, lane.rho)
        assert lane.slope > 0.2, (lane.lane_id, lane.slope)


def test_a_render_is_a_function_of_the_passage(singer: Singer) -> None:
    report = evaluate_determinism(
        singer.engine,
        QUALITY,
        elsewhere=in_another_process(None, None),
        duration_s=8.0,
        lanes=("pitch", "roughness"),
        n_places=3,
    )
    assert all(found.is_identical for found in report.sameness), report.sameness
    assert max(report.worst_resampled_s.values()) <= 3.0
    assert report.changed_elsewhere == 0


def test_the_measured_curve_comes_from_the_sound(singer: Singer, tmp_path: Path) -> None:
    """Put other samples under the same passage, and the measured curve is that of the other samples."""
    passage = gesture_passage(2.4)
    clip = Clip(tmp_path, n_samples_of(passage.duration_s), 1)
    Renderer(singer.engine, CellCache()).render(RenderRequest(passage, {}, QUALITY), clip)
    as_rendered = StemMeasurer().measure_next(clip, 1)
    tone = 0.3 * np.sin(2.0 * np.pi * 330.0 * np.arange(clip.n_samples) / SAMPLE_RATE_HZ)
    n_cell = clip.n_samples // clip.n_cells
    for cell in range(clip.n_cells):
        clip.write_stem(0, cell, tone[cell * n_cell : (cell + 1) * n_cell].astype(np.float32), b"a tone")
    swapped = StemMeasurer().measure_next(clip, 1)
    assert as_rendered is not None
    assert swapped is not None
    heard = swapped.lanes["pitch"][20:-20]
    assert np.nanmedian(heard) == pytest.approx(69.0 + 12.0 * np.log2(330.0 / 440.0), abs=0.1)
    assert np.nanmedian(np.abs(as_rendered.lanes["pitch"][20:-20] - heard)) > 1.0
    assert np.ptp(swapped.lanes["loudness"][20:-20]) < 0.5 < np.ptp(as_rendered.lanes["loudness"][20:-20])
