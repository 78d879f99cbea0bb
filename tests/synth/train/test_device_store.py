"""The store on the device holds what the clips hold, and draws as they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.codec.excitation import ExcitationFrames, excitation, free_phase
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.spec.audio import HOP_SAMPLES
from synth.train.clip_excitation import GAINS_PER_FRAME, all_excitations, clip_excitation
from synth.train.device_store import DeviceStore
from tests.synth.corpus.test_dataset import add_clip

N_FRAMES = 64


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    folder = tmp_path_factory.mktemp("corpus")
    records = [
        add_clip(folder, "long-modal", "real", "modal", 300, 1),
        add_clip(folder, "short-growl", "real", "growl", 60, 2),
        add_clip(folder, "made-fry", "simulated", "fry", 200, 3),
    ]
    return ClipStore(Corpus(folder, records), "train")


@pytest.fixture(scope="module")
def store(clips: ClipStore) -> DeviceStore:
    return DeviceStore(clips, "cpu", seed=5, n_realisations=2)


def test_excerpts_are_those_of_the_clips(clips: ClipStore, store: DeviceStore) -> None:
    """Whatever ClipStore says of the same clips, starts and gains, to rounding; NaN where it says NaN."""
    drawn = store.random_excerpts(3, 24, N_FRAMES)
    arrays = clips.excerpts(
        drawn["clip"].numpy(), drawn["start_frame"].numpy(), N_FRAMES, drawn["gain_db"].double().numpy()
    )
    assert set(arrays) == set(drawn)
    assert not drawn["inside"].all()
    assert drawn["inside"].any(dim=1).all()
    for name, wanted in arrays.items():
        np.testing.assert_allclose(drawn[name].float().numpy(), wanted.astype(np.float32), atol=1e-4, err_msg=name)


def test_batches_are_a_function_of_the_step(clips: ClipStore, store: DeviceStore) -> None:
    again = DeviceStore(clips, "cpu", seed=5, n_realisations=2)
    first, second = (one.random_excerpts(8, 6, N_FRAMES, with_excitation=True) for one in (store, again))
    other = store.random_excerpts(9, 6, N_FRAMES, with_excitation=True)
    for name in ("audio", "excitation", "clip"):
        assert torch.equal(first[name], second[name])
    assert not torch.equal(first["audio"], other["audio"])


def test_clips_are_drawn_as_often_as_they_should(clips: ClipStore, store: DeviceStore) -> None:
    drawn = store.random_excerpts(1, 6000, 1, real_fraction=0.7, balance=0.5, with_audio=False)
    share = np.bincount(drawn["clip"].numpy(), minlength=3) / 6000
    np.testing.assert_allclose(share, clips.chances(0.7, 0.5), atol=0.03)


def test_gains_never_clip(store: DeviceStore) -> None:
    drawn = store.random_excerpts(2, 32, N_FRAMES, augment_db=60.0)
    assert 0.5 < float(drawn["audio"].abs().max()) <= 0.9901


def test_excitation_is_the_decoder_s(store: DeviceStore) -> None:
    made = store.random_excerpts(4, 16, N_FRAMES, with_excitation=True)["excitation"]
    assert made.shape == (16, 3, N_FRAMES * HOP_SAMPLES)
    pulses, noise, gated = made.square().mean((0, 2)).tolist()
    assert pulses == pytest.approx(1.0, abs=0.1)
    assert noise == pytest.approx(1.0, abs=0.05)
    assert gated == pytest.approx(0.5, abs=0.05)


def test_stored_excitation_is_the_one_made_alone() -> None:
    n = 40
    f0_hz = np.linspace(120, 180, n).astype(np.float32)
    values = {"roughness_depth": 0.6, "roughness_rate_hz": 70.0, "subharmonic_depth": 0.3, "jitter_ratio": 0.02}
    frames = ExcitationFrames(
        f0_hz, **{k: np.full(n, v, np.float32) for k, v in {**values, "drift_cents": 5.0}.items()}
    )
    kept = clip_excitation(frames, (3, 4))
    phase = free_phase(f0_hz, float(np.random.default_rng(3).random()))
    for index, seed in enumerate((3, 4)):
        pulses, noise, gated = excitation(phase, 0, frames, 0, seed=seed)
        np.testing.assert_allclose(kept.pulses[index].reshape(-1), pulses, atol=0.02)
        smooth = noise.reshape(n * GAINS_PER_FRAME, -1).std(axis=1)
        assert np.corrcoef(smooth, kept.gain[index].reshape(-1))[0, 1] > 0.9
        heard = np.abs(noise) > 0.1
        np.testing.assert_allclose(
            (gated / np.where(heard, noise, 1))[heard], (kept.gate.reshape(-1) / 127)[heard], atol=0.01
        )
    assert kept.pulses.shape == (2, n, HOP_SAMPLES)
    assert not np.array_equal(kept.pulses[0], kept.pulses[1])


@pytest.mark.slow
def test_processes_make_the_same_excitations() -> None:
    f0_hz = np.full(20, 150.0, np.float32)
    frames = ExcitationFrames(f0_hz, *(np.full(20, v, np.float32) for v in (0.2, 70.0, 0.0, 0.01, 0.0)))
    jobs = [(frames, (seed, seed + 1)) for seed in range(3)]
    for alone, pooled in zip(all_excitations(jobs, 0), all_excitations(jobs, 2), strict=True):
        assert np.array_equal(alone.pulses, pooled.pulses)
        assert np.array_equal(alone.gate, pooled.gate)
