"""Excerpts: aligned, reproducible, balanced, and still true to their labels after a change of level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth.corpus.clip_file import Clip, audio_sha256, to_float32, to_int16, write_clip
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import ClipRecord, Corpus, clip_path
from synth.errors import UserError
from synth.features.analysis import analyse
from synth.features.f0 import F0Track
from synth.spec import TECHNIQUES, Float32Array

HOP = 480


def harmonic_noise(rng: np.random.Generator, n_frames: int) -> Float32Array:
    """A voice-like sound at -20 dB: harmonics of 150 Hz in noise, so that no mel band lies at the floor."""
    t_s = np.arange(n_frames * HOP) / 48_000.0
    tone = sum(np.sin(2.0 * np.pi * 150.0 * k * t_s) / k for k in range(1, 20))
    return (0.05 * tone + 0.02 * rng.normal(size=len(t_s))).astype(np.float32)


def add_clip(folder: Path, name: str, kind: str, technique: str, n_frames: int, seed: int = 0) -> ClipRecord:
    audio = to_int16(harmonic_noise(np.random.default_rng(seed), n_frames))
    n = n_frames
    track = F0Track(np.full(n, 150.0, np.float32), np.ones(n, np.float32), np.ones(n, np.bool_))
    analysis = analyse(to_float32(audio), track)
    lanes = dict(analysis.lanes) | {f"technique.{t}": np.full(n, t == technique, np.float32) for t in TECHNIQUES}
    lanes["ingress"] = np.zeros(n, np.float32)
    lanes["tension"] = np.linspace(0.0, 1.0, n, dtype=np.float32)  # a ramp, to see where an excerpt was taken
    known = {"loudness": np.full(n, -20.0, np.float32), "presence": np.ones(n, np.float32)}
    clip = Clip(
        to_float32(audio), lanes, analysis.physical, track, analysis.mfcc, known if kind == "simulated" else {}
    )
    record = ClipRecord.from_json({
        "id": name, "kind": kind, "collection": "c", "technique": {technique: 1.0}, "label": technique,
        "split": "train", "family": name, "licence": "CC0-1.0", "consent": "given", "attribution": "",
        "duration_s": n / 100.0, "seed": None, "sources": [], "gains_db": [0.0], "sha256": audio_sha256(audio),
    })
    write_clip(clip_path(folder, name), record.to_json(), audio, clip)
    return record


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    folder = tmp_path_factory.mktemp("corpus")
    records = [
        add_clip(folder, "long-modal", "real", "modal", 700, 1),
        add_clip(folder, "short-growl", "real", "growl", 60, 2),
        add_clip(folder, "made-fry", "simulated", "fry", 300, 3),
        add_clip(folder, "made-scream", "simulated", "scream", 300, 4),
    ]
    return ClipStore(Corpus(folder, records), "train")


def test_excerpts_have_the_shapes_promised(store: ClipStore) -> None:
    batch = store.random_excerpts(np.random.default_rng(0), 6, 112)
    assert batch["audio"].shape == (6, 112 * HOP)
    assert batch["audio"].dtype == np.float32
    assert batch["mfcc"].shape == (6, 112, 17)
    assert batch["technique"].shape == (6, len(TECHNIQUES))
    for name in ("f0_hz", "lane.pitch", "lane.loudness", "phys.hnr_db", "lane.technique.growl"):
        assert batch[name].shape == (6, 112)
        assert batch[name].dtype == np.float32
    assert batch["voiced"].dtype == np.bool_
    assert set(store.names) <= set(batch)


def test_the_same_generator_gives_the_same_excerpts(store: ClipStore) -> None:
    one = store.random_excerpts(np.random.default_rng(7), 8, 100)
    two = store.random_excerpts(np.random.default_rng(7), 8, 100)
    other = store.random_excerpts(np.random.default_rng(8), 8, 100)
    for name, values in one.items():
        assert np.array_equal(values, two[name], equal_nan=values.dtype.kind == "f"), name
    assert not np.array_equal(one["audio"], other["audio"])


def test_audio_and_frames_stay_together(store: ClipStore) -> None:
    clips, starts = np.array([0, 2]), np.array([100, 37])
    batch = store.excerpts(clips, starts, 50, np.zeros(2))
    for row, (n_frames, seed) in enumerate(((700, 1), (300, 3))):
        whole = to_float32(to_int16(harmonic_noise(np.random.default_rng(seed), n_frames)))
        expected = whole[starts[row] * HOP : (starts[row] + 50) * HOP]
        assert np.array_equal(batch["audio"][row], expected)
        ramp = np.linspace(0.0, 1.0, n_frames)[starts[row] : starts[row] + 50]
        assert np.allclose(batch["lane.tension"][row], ramp, atol=1e-3)
    assert batch["inside"].all()


def test_beyond_a_clip_there_is_silence(store: ClipStore) -> None:
    batch = store.excerpts(np.array([1]), np.array([-20]), 112, np.array([6.0]))
    outside = ~batch["inside"][0]
    assert outside.sum() == 52
    assert not batch["audio"].reshape(112, HOP)[outside].any()
    assert not batch["lane.presence"][0, outside].any()
    assert (batch["lane.loudness"][0, outside] == -60.0).all()
    assert (batch["phys.loudness_db"][0, outside] == -100.0).all()
    assert not batch["voiced"][0, outside].any()
    assert (batch["f0_hz"] == 150.0).all()
    assert (batch["lane.technique.growl"] == 1.0).all()
    silence = analyse(np.zeros(4800, np.float32)).mfcc[5]
    assert np.allclose(batch["mfcc"][0, outside], silence)


@pytest.mark.parametrize("gain_db", [-6.0, 4.0])
def test_labels_follow_the_level(store: ClipStore, gain_db: float) -> None:
    """What the ears say of the louder sound is what the batch says of it."""
    batch = store.excerpts(np.array([0, 2]), np.array([0, 0]), 300, np.full(2, gain_db))
    assert np.allclose(batch["gain_db"], gain_db)
    track = F0Track(np.full(300, 150.0, np.float32), np.ones(300, np.float32), np.ones(300, np.bool_))
    for row in range(2):
        analysis = analyse(batch["audio"][row], track)
        inner = slice(10, 280)  # the excerpt ends where the clip goes on
        assert np.allclose(batch["lane.loudness"][row, inner], analysis.lanes["loudness"][inner], atol=0.1)
        for name in ("loudness_db", "aperiodic_db", "hnr_db", "alpha_ratio_db"):
            assert np.allclose(batch[f"phys.{name}"][row, inner], analysis.physical[name][inner], atol=0.15), name
        assert np.allclose(batch["mfcc"][row, inner, 0], analysis.mfcc[inner, 0], atol=0.15)
        assert np.allclose(batch["mfcc"][row, inner, 1:], analysis.mfcc[inner, 1:], atol=0.15)
    assert np.allclose(batch["true.loudness"][1], -20.0 + gain_db, atol=0.01)
    assert np.isnan(batch["true.loudness"][0]).all()


def test_the_gain_stops_below_full_scale(store: ClipStore) -> None:
    quiet = store.excerpts(np.array([0]), np.array([0]), 300, np.zeros(1))
    batch = store.excerpts(np.array([0]), np.array([0]), 300, np.array([40.0]))
    assert np.abs(batch["audio"]).max() == pytest.approx(0.99, abs=1e-3)
    assert 0.0 < batch["gain_db"][0] < 40.0
    ratio = np.abs(batch["audio"]).max() / np.abs(quiet["audio"]).max()
    assert 20.0 * np.log10(ratio) == pytest.approx(float(batch["gain_db"][0]), abs=0.01)


@pytest.mark.parametrize("real_fraction", [0.0, 0.3, 1.0])
def test_the_share_of_recordings_is_kept(store: ClipStore, real_fraction: float) -> None:
    batch = store.random_excerpts(np.random.default_rng(1), 400, 4, real_fraction=real_fraction)
    assert batch["is_real"].mean() == pytest.approx(real_fraction, abs=0.08)


@pytest.mark.parametrize(("balance", "growl_share"), [(1.0, 0.5), (0.0, 60.0 / 760.0)])
def test_techniques_are_balanced_as_asked(store: ClipStore, balance: float, growl_share: float) -> None:
    batch = store.random_excerpts(np.random.default_rng(2), 600, 4, real_fraction=1.0, balance=balance)
    assert batch["lane.technique.growl"][:, 0].mean() == pytest.approx(growl_share, abs=0.07)


def test_one_kind_alone_is_enough(tmp_path: Path) -> None:
    alone = ClipStore(Corpus(tmp_path, [add_clip(tmp_path, "x", "simulated", "fry", 50)]), "train")
    assert not alone.random_excerpts(np.random.default_rng(0), 5, 20, real_fraction=1.0)["is_real"].any()


def test_an_empty_split_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no clips for test"):
        ClipStore(Corpus(tmp_path, [add_clip(tmp_path, "x", "simulated", "fry", 50)]), "test")


def test_a_clip_that_was_replaced_is_refused(tmp_path: Path) -> None:
    record = add_clip(tmp_path, "x", "simulated", "fry", 50, seed=1)
    add_clip(tmp_path, "x", "simulated", "fry", 50, seed=2)
    with pytest.raises(UserError, match="not what the manifest says"):
        ClipStore(Corpus(tmp_path, [record]), "train")
