"""The self-supervised encoder: what it hears, that it learns, that it comes back from disk, and its stand-ins."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from synth.codec.model import Codec
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.ssl.encoder import LogMelEncoder, SslConfig, SslEncoder, random_encoder
from synth.ssl.hugging_face import HuggingFaceEncoder
from synth.ssl.log_mel import N_BANDS, NEPERS_PER_UNIT, SILENCE, LogMel
from synth.train.latent_sound import LatentSound, comb_table, embedding_distance
from synth.train.loop import LoopConfig
from synth.train.mel_bank import MelBank
from synth.train.ssl import (
    WEIGHTS_FILE,
    SslTask,
    neighbour_accuracy,
    save_encoder,
    span_mask,
    train_on_bank,
)
from tests.tiny_weights import TINY_CODEC

TINY = SslConfig(dim=16, layers=2, heads=2, expansion=2, position_taps=31)
SHORT = LoopConfig(
    minutes=1.0, max_steps=100, warmup_steps=10, learning_rate=1e-2, ema_decay=0.9, report_every_steps=20
)


def bank(seed: int, n_clips: int = 6) -> MelBank:
    """Clips whose spectra drift slowly around a place of their technique's own: half of one, half of the other."""
    rng = np.random.default_rng(seed)
    technique = np.arange(n_clips) % 2
    place = np.exp(-np.square(np.arange(N_BANDS) - 16 - 30 * technique[:, None]) / 60)
    sway = np.cumsum(rng.standard_normal((n_clips, 300, 1)), axis=1) * 0.05
    frames = place[:, None] * (1.0 + np.sin(sway)) + 0.01 * rng.standard_normal((n_clips, 300, N_BANDS)) - 1.0
    lengths = np.full(n_clips, 300)
    is_real = np.arange(n_clips) < n_clips // 2
    return MelBank(torch.from_numpy(frames).half().flatten(0, 1), lengths, is_real, technique)


def test_white_noise_has_power_one_in_every_band() -> None:
    noise = torch.randn(1, SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0))
    mel = LogMel()(noise)
    assert mel.shape == (1, 100, N_BANDS)
    power = torch.exp((mel - LogMel().of_power(torch.ones(513))) * NEPERS_PER_UNIT).mean((0, 1))
    assert float((power - 1.0).abs().max()) < 0.25
    assert float(LogMel()(torch.zeros(1, 4_800)).max()) == pytest.approx(SILENCE, abs=1e-3)


def test_frame_i_is_centred_on_its_samples() -> None:
    audio = torch.zeros(1, 40 * HOP_SAMPLES)
    audio[0, 20 * HOP_SAMPLES + HOP_SAMPLES // 2] = 1.0
    assert int(LogMel()(audio)[0].mean(-1).argmax()) == 20


def test_masks_hide_spans_and_never_nothing() -> None:
    mask = span_mask(np.random.default_rng(0), 200, 128)
    assert mask.any(axis=1).all()
    assert 0.35 < mask.mean() < 0.65
    assert (mask == span_mask(np.random.default_rng(0), 200, 128)).all()


def test_nothing_hidden_reaches_the_student() -> None:
    torch.manual_seed(0)
    encoder = SslEncoder(TINY)
    mel, mask = torch.randn(2, 40, N_BANDS), torch.zeros(2, 20, dtype=torch.bool)
    mask[:, 5:9] = True
    changed = mel.clone()
    changed[:, 10:18] += 5.0
    torch.testing.assert_close(encoder.layer_outputs(mel, mask)[-1], encoder.layer_outputs(changed, mask)[-1])
    assert not torch.allclose(encoder.layer_outputs(mel)[-1], encoder.layer_outputs(changed)[-1], atol=0.1)


@pytest.mark.parametrize("target", ["latent", "spectrogram"])
def test_training_explains_what_is_hidden(target: str, tmp_path: Path) -> None:
    config = SslConfig(dim=16, layers=2, heads=2, expansion=2, position_taps=31, target=target)
    encoder, report = train_on_bank(bank(0), tmp_path, SHORT, config, batch_size=4)
    assert report.steps == 100
    rows = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(rows) >= 2
    explained = [float(row.split('"explained": ')[1].split(",")[0].rstrip("}")) for row in rows]
    assert explained[-1] > explained[0]
    assert explained[-1] > 0.06
    found = neighbour_accuracy(encoder, bank(0), bank(1))
    assert found == {"real": 1.0, "simulated": 1.0}


def test_the_teacher_follows_and_gets_no_gradient() -> None:
    torch.manual_seed(0)
    task = SslTask(SslEncoder(TINY))
    batch = {"mel": bank(0).sample(np.random.default_rng(0), 4, 64), "mask": torch.ones(4, 32, dtype=torch.bool)}
    with torch.no_grad():
        task.encoder.enter.weight.add_(1.0)
    before = task.teacher.enter.weight.clone()
    task(batch)[0].backward()
    assert task.teacher.enter.weight.grad is None
    moved = (task.teacher.enter.weight - before).mean()
    assert 0.005 < float(moved) < 0.02


def test_an_unknown_target_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training target"):
        train_on_bank(bank(0), tmp_path, SHORT, SslConfig(target="words"))


def test_bank_is_the_same_after_disk_and_samples_are_a_function_of_the_generator(tmp_path: Path) -> None:
    first = bank(3)
    first.save(tmp_path / "mel.safetensors")
    second = MelBank.load(tmp_path / "mel.safetensors")
    draws = [b.sample(np.random.default_rng(5), 3, 400) for b in (first, second)]
    torch.testing.assert_close(draws[0], draws[1])
    assert float(draws[0].min()) >= SILENCE


def test_encoder_comes_back_from_disk_frozen(tmp_path: Path) -> None:
    encoder, mel = random_encoder(3), torch.randn(1, 64, N_BANDS)
    save_encoder(tmp_path / WEIGHTS_FILE, encoder, {})
    back = SslEncoder.load(tmp_path / WEIGHTS_FILE)
    torch.testing.assert_close(back.embed_mel(mel), encoder.embed_mel(mel), atol=0.02, rtol=0.0)
    assert not any(parameter.requires_grad for parameter in back.parameters())
    assert back.embed(torch.randn(1, 48_000)).shape == (1, 50, encoder.config.dim)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "missing"),
        ("foreign", "holds codec"),
        ("damaged", "not a readable"),
        ("not finite", "no numbers"),
        ("newer", "newer Stridor"),
        ("of another shape", "readable configuration"),
    ],
)
def test_files_that_are_no_encoder_are_one_clear_line(what: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS_FILE
    metadata = {"kind": "ssl", "revision": "1", "config": '{"encoder": {}}'}
    if what == "foreign":
        save_file({"a": torch.zeros(1)}, path, metadata={"kind": "codec"})
    elif what == "damaged":
        path.write_bytes(b"no such thing")
    elif what == "not finite":
        encoder = random_encoder(0)
        encoder.masked[3] = math.nan
        save_encoder(path, encoder, {})
    elif what == "of another shape":
        save_file({"a": torch.zeros(1)}, path, metadata=metadata | {"config": '{"encoder": {"ears": 2}}'})
    elif what == "newer":
        save_file({"a": torch.zeros(1)}, path, metadata=metadata | {"revision": "99"})
    with pytest.raises(UserError, match=said):
        SslEncoder.load(path)


def test_random_encoders_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    random_encoder(5)
    assert torch.rand(1) == expected


# ---- latents as sound


def test_comb_is_flat_below_the_window_and_has_harmonics_above() -> None:
    table = comb_table()
    assert float((table[0] - 1.0).abs().max()) < 1e-3  # 15 Hz: the window holds less than a period
    row = table[round(120 * math.log2(480.0 / 15.0))]
    spacing_bins = 480.0 / (SAMPLE_RATE_HZ / 1_024)
    on, between = (row[round(k * spacing_bins)] for k in (10, 10.5))
    assert float(on) > 3.0
    assert float(between) < 0.1
    assert float(row.mean()) == pytest.approx(1.0, abs=0.05)


def tiny_sound() -> LatentSound:
    torch.manual_seed(0)
    codec = Codec(TINY_CODEC)
    with torch.no_grad():
        codec.decoder.leave.weight.mul_(4.0)
    return LatentSound(codec, torch.zeros(TINY_CODEC.latent_dim), torch.ones(TINY_CODEC.latent_dim))


def test_latents_are_heard_as_their_sound_would_be() -> None:
    """The analytic spectrum agrees with that of the waveform, whose noise alone makes 2-3 dB of difference a band."""
    sound, generator = tiny_sound(), torch.Generator().manual_seed(0)
    latents = torch.randn(2, 1, TINY_CODEC.latent_dim, generator=generator).repeat(1, 100, 1)
    latents[..., -5:] = -10.0  # no irregularity: explicit channels at their minimum
    f0_hz = torch.tensor([220.0, 660.0])[:, None].expand(2, 100)
    inner = slice(8, -8)
    heard = sound.mel(latents, f0_hz)[:, inner] * NEPERS_PER_UNIT
    made = sound.log_mel(sound.audio(latents, f0_hz))[:, inner] * NEPERS_PER_UNIT
    heard, made = heard[..., 10:], made[..., 10:]  # below, random filters are steeper than a window can tell
    assert float((heard - made).square().mean().sqrt()) * 4.34 < 3.5
    # In the mean over time the noise is gone (the mean of its log is below the log of its mean).
    assert float((heard.exp().mean(1).log() - made.exp().mean(1).log()).abs().mean()) * 4.34 < 1.0


def test_distance_is_nothing_to_itself_and_reaches_the_latents() -> None:
    sound, generator = tiny_sound(), torch.Generator().manual_seed(0)
    target = torch.randn(2, 32, TINY_CODEC.latent_dim, generator=generator)
    other = torch.randn(2, 32, TINY_CODEC.latent_dim, generator=generator).requires_grad_(True)
    f0_hz = torch.full((2, 32), 200.0)
    for encoder in (random_encoder(0), LogMelEncoder()):
        assert float(sound.discrepancy(encoder, target, target, f0_hz).abs().max()) < 1e-5
        each = sound.discrepancy(encoder, other, target, f0_hz)
        assert each.shape == (2,)
        assert float(each.detach().min()) > 0.0
        (gradient,) = torch.autograd.grad(each.sum(), other)
        assert float(gradient.abs().max()) > 0.0


def test_what_all_windows_share_says_nothing() -> None:
    wanted = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0))
    made = wanted + 0.1
    shifted = embedding_distance(made + 7.0, wanted + 7.0)
    torch.testing.assert_close(shifted, embedding_distance(made, wanted), atol=1e-5, rtol=0.0)


# ---- Hugging Face


class Loud(torch.nn.Module):
    """Stands for a waveform model at 16 kHz: two "layers" that are the waveform's frames and their squares."""

    def forward(self, audio: torch.Tensor, *, output_hidden_states: bool) -> Loud:
        assert output_hidden_states
        frames = audio[:, : audio.shape[1] // 320 * 320].unflatten(1, (-1, 320))
        self.heard = audio
        self.hidden_states = (frames, frames, frames.square())
        return self


def test_a_waveform_encoder_hears_its_own_rate() -> None:
    model = Loud()
    encoder = HuggingFaceEncoder(model, 16_000, normalises=False)
    t_s = torch.arange(48_000) / SAMPLE_RATE_HZ
    low, high = (torch.sin(2 * torch.pi * hz * t_s)[None] for hz in (1_000.0, 15_000.0))
    assert encoder.embed(low).shape == (1, 50, 320)
    assert float(model.heard[:, 1_000:-1_000].square().mean()) == pytest.approx(0.5, rel=0.02)
    encoder.embed(high)
    assert float(model.heard[:, 1_000:-1_000].square().mean()) < 1e-4
    with pytest.raises(TypeError):
        encoder.embed_mel(torch.zeros(1, 4, N_BANDS))


def test_a_waveform_encoder_can_judge_latents() -> None:
    sound, encoder = tiny_sound(), HuggingFaceEncoder(Loud(), 16_000, normalises=True)
    latents = torch.randn(1, 32, TINY_CODEC.latent_dim).requires_grad_(True)
    each = sound.discrepancy(encoder, latents, torch.randn(1, 32, TINY_CODEC.latent_dim), torch.full((1, 32), 150.0))
    (gradient,) = torch.autograd.grad(each.sum(), latents)
    assert float(gradient.abs().max()) > 0.0


def test_a_folder_without_a_model_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    with pytest.raises(UserError, match="holds no Hugging Face model"):
        HuggingFaceEncoder.load(tmp_path)


def test_without_transformers_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="transformers"):
        HuggingFaceEncoder.load(tmp_path)
