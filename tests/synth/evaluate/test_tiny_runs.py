"""Whole evaluations, end to end, with a tiny random model and simulated voices in the place of recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from synth.corpus.simulator import simulate_random
from synth.evaluate.distances import MEASURES, Sound
from synth.evaluate.proof import ABLATIONS, PROOFS, REPORTED, evaluate_proof, one_frame, shuffled
from synth.evaluate.recordings import Recording, encode, extracted
from synth.evaluate.resynthesis import ALL, FLOORS, METHODS, evaluate_resynthesis
from synth.evaluate.singing import Singer
from synth.spec.audio import CONTEXT_FRAMES
from tests.tiny_weights import save_tiny_weights, tiny_engine


@pytest.fixture(scope="module")
def singer(tmp_path_factory: pytest.TempPathFactory) -> Singer:
    return Singer(tiny_engine(tmp_path_factory.mktemp("weights")), "live")


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    labels = ("modal", "whisper")
    return [Recording(f"{name}-0", name, simulate_random(205, 0.8, name).audio) for name in labels]


@pytest.mark.world
def test_resynthesis_compares_every_method(singer: Singer, recordings: list[Recording]) -> None:
    report = evaluate_resynthesis(singer, recordings)
    assert {row.label for row in report.rows} == {"modal", "whisper", ALL}
    assert {row.method for row in report.rows} == {*METHODS, *FLOORS}
    rows = {(row.label, row.method): row for row in report.rows}
    assert rows[ALL, "world"].n_recordings == 2
    # A random model is no voice: WORLD must be far nearer.
    nearness = {method: rows[ALL, method].measures["log_mel_db"].value for method in METHODS}
    assert nearness["world"] < 0.5 * nearness["model"]
    assert set(rows[ALL, "model"].measures) == set(MEASURES)


def test_proof_reports_every_ablation_and_measure(singer: Singer, recordings: list[Recording]) -> None:
    pair = ("test", recordings[0], recordings[1])
    report = evaluate_proof(singer, recordings, [pair])
    assert [(a.ablation, a.measure) for a in report.ablations] == [(a, m) for a in PROOFS for m in REPORTED]
    assert set(ABLATIONS) < set(PROOFS)
    heard = {a.measure for a in report.ablations if a.ablation == "shuffled" and a.is_proof}
    assert "hnr_db" not in heard, "frames in another order have the same distribution"
    assert "log_mel_db" in heard
    assert report.pairs == {"test": 1, "validation": 0, "train": 0}
    takes = {take.measure: take for take in report.takes}
    assert takes["aligned_log_mel_db"].real_takes.value > 0.0
    assert takes["aligned_log_mel_db"].seeds.value > 0.0


def test_latents_are_shuffled_and_frozen_where_somebody_sings() -> None:
    latents = np.arange(112, dtype=np.float32)[None].repeat(2, axis=0)
    presence = np.zeros(80, dtype=np.float32)
    presence[20:60] = 1.0
    sung = slice(CONTEXT_FRAMES + 20, CONTEXT_FRAMES + 60)
    mixed = shuffled(latents, presence)
    assert np.array_equal(np.sort(mixed[0, sung]), latents[0, sung])
    assert not np.array_equal(mixed, latents)
    assert np.array_equal(np.delete(mixed, np.r_[sung], axis=1), np.delete(latents, np.r_[sung], axis=1))
    assert np.array_equal(mixed[0], mixed[1]), "channels of a frame stay together"
    assert np.unique(one_frame(latents, presence)) == [CONTEXT_FRAMES + 40]


def test_a_recording_is_laid_out_as_sampled_latents_are(singer: Singer, recordings: list[Recording]) -> None:
    audio = recordings[0].audio
    latents, controls = encode(singer.engine, audio)
    gesture = extracted(Sound.of(audio).analysis, varying_timbre=True)
    assert latents.shape == singer.latents(gesture, 0).shape == (singer.engine.latent_dim, 80 + 2 * CONTEXT_FRAMES)
    assert controls.n_frames == gesture.controls.n_frames == 80
    assert gesture.timbre is not None
    assert gesture.timbre.shape == (80, 16)
    assert gesture.window(0).timbre is not None


def test_the_command_prints_and_writes_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from app.commands.evaluate import command

    weights, output = save_tiny_weights(tmp_path / "weights"), tmp_path / "controls.json"
    words = ["controls", "--weights", str(weights), "--lane", "loudness", "--segments", "3", "--quality", "live"]
    command.main([*words, "--json", "-o", str(output)], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(output.read_text())
    assert printed["lanes"][0]["lane_id"] == "loudness"
    assert len(printed["lanes"][0]["asked"]) == 3
    command.main(words, standalone_mode=False)
    assert "Spearman" in capsys.readouterr().out
