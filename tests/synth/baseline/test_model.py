"""The waveform baseline: shapes, the lanes' way in, and a copy that does not use the original's layers."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synth.baseline.model import WEIGHTS_KIND, WaveformConfig, WaveformDiffusion
from synth.baseline.voice import BASELINE_FILE, WaveformVoice
from synth.codec.weights import save_weights
from synth.diffusion.conditioning import CONDITION_DIM, TIMBRE_DIM
from synth.errors import UserError
from synth.evaluate.baseline import WaveformSinger
from synth.evaluate.singing import Gesture, neutral_controls
from synth.spec.audio import HOP_SAMPLES

pytestmark = pytest.mark.peers

TINY = WaveformConfig(
    channels=(8,) * 7, items=(1,) * 7, attention_heads=2, attention_features=4, modulation_features=16, gain=2.0
)


@pytest.fixture(scope="module")
def network() -> WaveformDiffusion:
    torch.manual_seed(0)
    return WaveformDiffusion(TINY).eval().requires_grad_(False)


def condition(n_frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, n_frames, CONDITION_DIM, generator=torch.Generator().manual_seed(seed))


def sample(network: WaveformDiffusion, lanes: torch.Tensor, seed: int = 0, n_steps: int = 2) -> torch.Tensor:
    return network.sample(lanes, torch.Generator().manual_seed(seed), n_steps)


def test_any_number_of_frames_is_sung(network: WaveformDiffusion) -> None:
    for n_frames in (20, 21):
        audio = sample(network, condition(n_frames))
        assert audio.shape == (1, n_frames * HOP_SAMPLES)
        assert torch.isfinite(audio).all()


def test_seed_and_lanes_decide(network: WaveformDiffusion) -> None:
    audio = sample(network, condition(20))
    assert torch.equal(audio, sample(network, condition(20)))
    assert not torch.allclose(audio, sample(network, condition(20), seed=1), atol=1e-3)
    assert not torch.allclose(audio, sample(network, condition(20, seed=1)), atol=1e-5)


def test_lanes_act_where_they_are_drawn() -> None:
    """A lane changed in the last frames of a long passage changes nothing far before them.

    Attention sees everything, but only through what it adds; so it is taken out here.
    """
    local = WaveformDiffusion(replace(TINY, attentions=(0,) * 7)).eval()
    # Group norms average over time: with one step at the end, what is far off hears of it only through them.
    lanes, other = condition(160), condition(160)
    other[:, -8:] += 3.0
    change = (sample(local, lanes, n_steps=1) - sample(local, other, n_steps=1)).abs()[0]
    per_frame = change.view(160, HOP_SAMPLES).mean(1)
    assert per_frame[-8:].mean() > 5.0 * per_frame[:80].mean()


def test_the_copy_sings_with_its_own_layers(network: WaveformDiffusion) -> None:
    """The moving average is such a copy; the package's blocks close over their layers."""
    wanted = sample(network, condition(20))
    copied = copy.deepcopy(network)
    assert torch.equal(sample(copied, condition(20)), wanted)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(0.5)
    assert not torch.allclose(sample(copied, condition(20)), wanted, atol=1e-4)
    assert torch.equal(sample(network, condition(20)), wanted)


def test_the_shape_must_meet_the_frame_rate() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        replace(TINY, factors=(1, 4, 4, 4, 2, 2, 2))


def stored(folder: Path, network: WaveformDiffusion) -> dict[str, object]:
    config: dict[str, object] = {
        "baseline": TINY.as_dict(),
        "timbre_mean": [0.0] * TIMBRE_DIM,
        "timbre_std": [1.0] * TIMBRE_DIM,
        "technique_timbre": {"modal": [0.5] * TIMBRE_DIM},
    }
    save_weights(folder / BASELINE_FILE, network.net, WEIGHTS_KIND, config)
    return config


def test_stored_weights_sing_the_same(network: WaveformDiffusion, tmp_path: Path) -> None:
    stored(tmp_path, network)
    voice = WaveformVoice.load(tmp_path)
    singer = WaveformSinger(voice, n_steps=2)
    gesture = Gesture(neutral_controls(31, {"pitch": 60.0}))
    audio = singer.sing(gesture, seed=4)
    assert audio.shape == (31 * HOP_SAMPLES,)
    assert audio.dtype == np.float32
    assert np.array_equal(audio, WaveformSinger(WaveformVoice.load(tmp_path), n_steps=2).sing(gesture, seed=4))
    # Unasked technique: no typical timbre either, so another condition.
    unasked = Gesture(neutral_controls(31, {"pitch": 60.0}, technique="none"))
    assert not np.array_equal(audio, singer.sing(unasked, seed=4))
    with pytest.raises(TypeError, match="no latents"):
        singer.latents(gesture, 0)


def test_what_is_wrong_with_weights_is_said(network: WaveformDiffusion, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"baseline\.safetensors are missing"):
        WaveformVoice.load(tmp_path)
    config = stored(tmp_path, network)
    save_weights(tmp_path / BASELINE_FILE, network.net, "codec", config)
    with pytest.raises(UserError, match="holds codec"):
        WaveformVoice.load(tmp_path)
    shape = TINY.as_dict() | {"channels": [16] * 7}
    save_weights(tmp_path / BASELINE_FILE, network.net, WEIGHTS_KIND, config | {"baseline": shape})
    with pytest.raises(UserError, match="does not fit"):
        WaveformVoice.load(tmp_path)
    save_weights(tmp_path / BASELINE_FILE, network.net, WEIGHTS_KIND, config | {"baseline": {"depth": 3}})
    with pytest.raises(UserError, match="cannot be read"):
        WaveformVoice.load(tmp_path)
