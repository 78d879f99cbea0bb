"""The codec learns, resumes and is chosen by validation; its losses measure what they say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from synth.codec.bands import FILTER_BINS
from synth.codec.model import Codec, CodecConfig
from synth.codec.weights import save_weights
from synth.corpus.manifest import Corpus
from synth.engine import load_codec
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.train import codec as trainer
from synth.train.adversarial import Discriminators, play
from synth.train.codec import CodecTask, bent_log_f0, polish_codec, train_codec
from synth.train.loop import LoopConfig
from synth.train.losses import BandLosses, MultiResolutionSpectralLoss, alternation_loss, ripple_loss
from tests.synth.corpus.test_dataset import add_clip

SMALL = CodecConfig(
    learned_dim=12, encoder_dim=24, encoder_blocks=1, decoder_dim=24, decoder_blocks=1, n_bands=48,
    encoder_views=((1024, 240, 40),), encoder_skip=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    records = [
        add_clip(folder, "a", "real", "modal", 150, 1),
        add_clip(folder, "b", "simulated", "growl", 150, 2),
        dataclasses.replace(add_clip(folder, "c", "real", "modal", 130, 3), split="validation"),
    ]
    Corpus(folder, records).save()
    return folder


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EXCERPT_FRAMES": 32, "_VALIDATION_BATCHES": 1, "_VALIDATION_SIZE": 2, "_START_EXCERPTS": 6,
    }.items():  # fmt: skip
        monkeypatch.setattr(trainer, name, value)
    monkeypatch.setattr(trainer, "Discriminators", lambda: Discriminators(n_channels=2))


@pytest.mark.usefixtures("small_batches")
def test_both_stages_learn_and_the_better_one_is_kept(corpus_dir: Path, tmp_path: Path) -> None:
    loop = LoopConfig(minutes=5, max_steps=20, report_every_steps=4, warmup_steps=2, learning_rate=3e-3)
    given = {"config": SMALL, "batch_size": 2, "use_bf16": False, "adversarial": True}
    codec, report = train_codec(corpus_dir, tmp_path, loop, **given)
    assert codec.config == SMALL
    assert report.steps == 9
    rows = [json.loads(line) for line in (tmp_path / "reconstruction" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["validation"] < 0.9 * rows[0]["validation"]
    after = json.loads((tmp_path / "adversarial" / "log.jsonl").read_text().splitlines()[-1])
    assert {"judge", "fooling", "matching"} <= set(after)
    figures = {
        stage: json.loads((tmp_path / stage / "validation.json").read_text())["validation"]
        for stage in ("reconstruction", "adversarial")
    }
    kept = "adversarial" if figures["adversarial"] <= 1.03 * figures["reconstruction"] else "reconstruction"
    assert (tmp_path / "codec.safetensors").read_bytes() == (tmp_path / f"codec_{kept}.safetensors").read_bytes()
    again, _ = train_codec(corpus_dir, tmp_path, loop, **given)  # nothing is left to do
    for mine, theirs in zip(codec.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.usefixtures("small_batches")
def test_polishing_teaches_the_decoder_alone(corpus_dir: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start, path = Codec(SMALL), tmp_path / "start.safetensors"
    torch.nn.init.normal_(start.decoder.leave.bias, std=0.3)  # its sub-frames alternate
    save_weights(path, start, "codec", {"codec": SMALL.as_dict()})
    loop = LoopConfig(minutes=5, max_steps=6, report_every_steps=3, warmup_steps=1, learning_rate=3e-3)
    codec, report = polish_codec(corpus_dir, tmp_path / "run", loop, start=path, batch_size=2, use_bf16=False)
    assert report.steps == 6
    told = tmp_path / "run" / "polished"
    was, is_now = (json.loads((told / f"{name}.json").read_text()) for name in ("start", "validation"))
    assert {*was} - {"alternation"} == {*is_now} - {"steps"}, "what it was can be compared with what it is"
    before = load_codec(path)
    for mine, theirs in zip(codec.encoder.parameters(), before.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs), "latents must stay what they were"
    assert not torch.equal(codec.decoder.leave.weight, before.decoder.leave.weight)

    def alternation(of: Codec) -> float:
        with torch.no_grad():
            return float(alternation_loss(of.decoder.filters(torch.zeros(1, 20, SMALL.latent_dim), torch.zeros(1, 20))))

    assert alternation(before) > 0.05
    assert alternation(codec) < 0.005


def test_game_gives_each_side_its_own_gradients() -> None:
    torch.manual_seed(0)
    judges = Discriminators(n_channels=2)
    made, wanted = torch.randn(2, 8192, requires_grad=True), torch.randn(2, 8192)
    game = play(judges, made, wanted)
    (game.fooling + game.matching).backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in judges.parameters())
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0
    made.grad = None
    game.judge.backward()
    assert made.grad is None
    assert all(parameter.grad is not None for parameter in judges.parameters())


def test_judges_learn_to_tell_noise_from_a_tone() -> None:
    torch.manual_seed(0)
    judges = Discriminators(n_channels=4)
    optimizer = torch.optim.AdamW(judges.parameters(), lr=3e-3, betas=(0.5, 0.9))
    tone = torch.sin(2 * np.pi * 440 * torch.arange(8192) / SAMPLE_RATE_HZ).repeat(2, 1)
    noise = 0.1 * torch.randn(2, 8192)
    first = last = 0.0
    for step in range(12):
        loss = play(judges, noise, tone).judge
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert last < 0.6 * first


def noise(seed: int, gain: float = 1.0) -> torch.Tensor:
    return gain * 0.1 * torch.randn(2, 48_000, generator=torch.Generator().manual_seed(seed))


def test_distances_grow_with_what_they_measure() -> None:
    bands, spectral = BandLosses(), MultiResolutionSpectralLoss()
    t_s = torch.arange(48_000) / SAMPLE_RATE_HZ
    plain, again, louder = noise(1), noise(2), noise(2, 2.0)
    throbbing = noise(2) * (1 + 0.9 * torch.cos(2 * np.pi * 70 * t_s))
    same, gain, throb = (bands(other, plain) for other in (again, louder, throbbing))
    assert all(float(value) == 0.0 for value in bands(plain, plain).values())
    assert float(spectral(plain, plain)) < 1e-6
    assert float(same["mel_100ms"]) < 0.5 * float(same["mel"])  # averages scatter less than frames
    assert float(gain["mel_100ms"]) == pytest.approx(0.602, abs=0.03)  # 6 dB, in tens of dB
    assert float(gain["modulation"]) == pytest.approx(float(same["modulation"]), abs=0.02)  # a level is no modulation
    assert float(throb["modulation"]) > 1.3 * float(same["modulation"])


def test_ripple_is_what_follows_the_harmonics() -> None:
    bins = torch.arange(FILTER_BINS)
    f0_hz = torch.full((1, 3), 300.0)
    comb_bins = 300.0 / (SAMPLE_RATE_HZ / 2 / (FILTER_BINS - 1))
    comb = torch.cos(2 * np.pi * bins / comb_bins).expand(1, 2, 6, -1)
    formants = torch.cos(2 * np.pi * bins / (6 * comb_bins)).expand(1, 2, 6, -1)
    assert float(ripple_loss(comb, f0_hz)) > 50 * float(ripple_loss(formants, f0_hz))


def test_filters_are_told_many_pitches() -> None:
    torch.manual_seed(0)
    told = bent_log_f0(torch.full((4000, 3), 250.0))
    assert (told == told[:, :1]).all()  # an excerpt is bent as a whole
    semitones = (told[:, 0] - np.log(250.0 / 200.0)) * 12 / np.log(2)
    assert float((told[:, 0] == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float((semitones.abs() < 1e-4).float().mean()) == pytest.approx(0.2, abs=0.03)
    assert 8.5 < float(semitones.abs().max()) <= 9.0


def test_task_without_recordings_validates_nothing() -> None:
    assert CodecTask(Codec(SMALL)).validate() == {}
