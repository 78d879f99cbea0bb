"""Stages inside a training: kept with its checkpoint, blind to how a batch is parted, refused where they cannot be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from synth.codec.model import Codec
from synth.diffusion.conditioning import CONDITION_DIM
from synth.diffusion.solvers import MAX_ANGLE
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.ssl.encoder import LogMelEncoder, SslConfig, SslEncoder
from synth.train.descent import Batch
from synth.train.diffusion import MIN_ANGLE, DenoiserTask, noise_levels
from synth.train.loop import LoopConfig, generator_of, train
from synth.train.ssl import save_encoder
from synth.train.staged import StagedLoss, load_ear, staged_loss
from synth.train.stages import StageConfig, stage_config
from tests.tiny_weights import TINY_CODEC, TINY_DENOISER

DIM = TINY_CODEC.latent_dim
BATCH, FRAMES, STEPS = 4, 16, 90
LOOP = LoopConfig(minutes=1e6, max_steps=STEPS, learning_rate=1e-2, report_every_steps=30, batch_threads=0)


def staged(config: StageConfig) -> StagedLoss:
    torch.manual_seed(3)
    codec = Codec(TINY_CODEC).eval().requires_grad_(False)
    scale = torch.zeros(DIM), torch.ones(DIM)
    return staged_loss(config, LogMelEncoder(), codec, scale, BATCH, (MIN_ANGLE, MAX_ANGLE))


class Training:
    """The denoiser's task on made-up latents, and the loop around it."""

    def __init__(self, config: StageConfig) -> None:
        self.stages = staged(config)
        torch.manual_seed(0)
        self.task = DenoiserTask(Denoiser(TINY_DENOISER), use_bf16=False, stages=self.stages)

    def batch(self, rng: np.random.Generator) -> Batch:
        generator = generator_of(rng, "cpu")
        latents, noise = (torch.randn(BATCH, FRAMES, DIM, generator=generator) for _ in range(2))
        sigma = noise_levels(generator, BATCH, self.stages)[:, None].expand(-1, FRAMES)
        condition = torch.randn(BATCH, FRAMES, CONDITION_DIM, generator=generator)
        return {
            "latents": 0.2 * latents + condition[..., :1], "condition": condition, "sigma": sigma, "noise": noise,
            "learnt": torch.ones(BATCH, FRAMES), "f0_hz": torch.full((BATCH, FRAMES), 180.0),
        }  # fmt: skip

    def run(self, folder: Path, stop_after: int = STEPS) -> None:
        asked = iter(range(STEPS + 2))
        train(self.task, self.batch, LOOP, folder, lambda: next(asked) >= stop_after)


def test_a_training_resumes_in_the_very_stage_it_was_in(tmp_path: Path) -> None:
    # Easily steep and soon level, so that much happens in few steps.
    config = StageConfig(begin=1.0, end=0.9)
    whole, first, second = (Training(config) for _ in range(3))
    whole.run(tmp_path / "whole")
    first.run(tmp_path / "parts", stop_after=71)
    second.run(tmp_path / "parts")
    state = whole.stages.controller.state()
    assert second.stages.controller.state() == state
    assert len(state["measured"]["log_d"]) > 10
    for name, value in whole.task.state_dict().items():
        assert torch.equal(value, second.task.state_dict()[name]), name
    assert first.stages.controller.state() != state


def test_stages_are_part_of_the_checkpoint_only_where_they_are_on() -> None:
    assert not any(name.startswith("stages") for name in DenoiserTask(Denoiser(TINY_DENOISER)).state_dict())
    assert "stages._extra_state" in Training(StageConfig()).task.state_dict()


def test_a_batch_in_parts_is_one_step() -> None:
    whole, parted = (Training(StageConfig()) for _ in range(2))
    whole.stages.controller.grouping.fix(torch.ones(4, 4))
    parted.stages.controller.grouping.fix(torch.ones(4, 4))
    for step in range(16):
        batch = whole.batch(np.random.default_rng(step))
        one, _ = whole.task(batch)
        halves = [parted.task({name: value[rows] for name, value in batch.items()})[0]
                  for rows in (slice(0, 2), slice(2, 4))]  # fmt: skip
        # The coupling of every eighth step comes in both halves or in neither; what is heard is centred by the half.
        assert float(sum(halves).detach()) / 2 == pytest.approx(float(one.detach()), rel=0.2)  # pyright: ignore
    assert whole.stages._seen == parted.stages._seen == 16 * BATCH


def test_levels_are_read_from_the_frames_to_be_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    stages, heard = staged(StageConfig()), []
    monkeypatch.setattr(stages.controller, "extra_loss", lambda *given: heard.append(given[5]) or torch.zeros(()))
    u = torch.tensor([0.0, 0.25, 0.5, 1.0])
    sigma = torch.tan(0.5 * math.pi * (u * (MAX_ANGLE - MIN_ANGLE) + MIN_ANGLE))[:, None].repeat(1, FRAMES)
    sigma[:, :4] = 0.01  # already heard
    batch = {"sigma": sigma, "latents": torch.zeros(4, FRAMES, DIM), "f0_hz": torch.ones(4, FRAMES)}
    stages(torch.zeros(4, FRAMES, DIM), batch, torch.nn.Linear(1, 1))
    torch.testing.assert_close(heard[0], u, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("which", ["guidance", "levels", "structure", "all"])
def test_a_name_turns_on_its_mechanism_alone(which: str) -> None:
    config = stage_config(which)
    assert config is not None
    on = (config.ssl_guidance, config.adaptive_levels, config.structure)
    assert on == tuple(which in (name, "all") for name in ("guidance", "levels", "structure"))
    assert config.thresholds == "adaptive"


def test_without_an_ear_or_in_several_processes_nothing_is_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage_config("none") is None
    with pytest.raises(ValueError):
        stage_config("some")
    codec, scale = Codec(TINY_CODEC), (torch.zeros(DIM), torch.ones(DIM))
    with pytest.raises(UserError, match="listens with an encoder"):
        staged_loss(StageConfig(), None, codec, scale, BATCH, (MIN_ANGLE, MAX_ANGLE))

    class Two:
        count = 2

    monkeypatch.setattr("synth.train.staged.join_processes", Two)
    with pytest.raises(UserError, match="one process"):
        staged_loss(StageConfig(), LogMelEncoder(), codec, scale, BATCH, (MIN_ANGLE, MAX_ANGLE))


def test_an_ear_is_a_file_of_ours_or_a_folder_of_a_foreign_one(tmp_path: Path) -> None:
    save_encoder(tmp_path / "ssl.safetensors", SslEncoder(SslConfig(dim=16, layers=1, heads=2)), {})
    assert isinstance(load_ear(tmp_path / "ssl.safetensors", "cpu"), SslEncoder)
    for wrong in (tmp_path, tmp_path / "nothing.safetensors"):
        with pytest.raises(UserError):
            load_ear(wrong, "cpu")
