"""A stage controller inside a training's task: it counts steps, adds to the loss, and is kept with the checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synth.codec.model import Codec
from synth.errors import UserError
from synth.ssl.encoder import AudioEncoder, SslEncoder
from synth.ssl.hugging_face import HuggingFaceEncoder
from synth.train.descent import Batch
from synth.train.latent_sound import LatentSound
from synth.train.processes import join_processes
from synth.train.stages import StageConfig, StageController

_STATE_BYTES = 65_536  # checkpoints hold tensors of a fixed shape; the state is a few kilobytes of JSON


class StagedLoss(nn.Module):
    """What stage-adaptive training adds to a denoiser's loss. No parameters; its state goes into the checkpoint.

    batch_size   of whole steps: a batch that memory splits into parts is one step
    share_of     the schedule's first and last noise level, as shares of a quarter turn (sigma is the tangent)
    """

    def __init__(self, controller: StageController, batch_size: int, share_of: tuple[float, float]) -> None:
        super().__init__()
        self.controller = controller
        self._batch_size = batch_size
        self._first_share, self._last_share = share_of
        self._seen = 0

    def sample_levels(self, generator: torch.Generator, n: int) -> Tensor:
        """Levels u for the next batch: as StageController says."""
        return self.controller.sample_levels(generator, n)

    def forward(self, predicted: Tensor, batch: Batch, denoiser: nn.Module) -> Tensor:
        """predicted: what `denoiser` takes the clean latents of `batch` for [B, T, latent_dim] -> added to the loss."""
        step = 1 + self._seen // self._batch_size
        self._seen += len(predicted)
        angle = torch.atan(batch["sigma"][:, -1]) / (0.5 * math.pi)  # first frames may stand clean, the last never does
        levels = ((angle - self._first_share) / (self._last_share - self._first_share)).clamp(0.0, 1.0)
        return self.controller.extra_loss(step, predicted, batch["latents"], batch["f0_hz"], denoiser, levels)

    def get_extra_state(self) -> Tensor:
        """JSON in bytes, blanks at its end."""
        text = json.dumps({"seen": self._seen, "controller": self.controller.state()}).encode()
        if len(text) > _STATE_BYTES:
            raise ValueError(f"the stages' state has {len(text)} bytes")
        return torch.frombuffer(bytearray(text.ljust(_STATE_BYTES)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """The inverse of get_extra_state."""
        found: dict[str, Any] = json.loads(bytes(state.cpu().numpy()).decode())
        self._seen = int(found["seen"])
        self.controller.load_state(found["controller"])

    def __deepcopy__(self, memo: dict[int, Any]) -> StagedLoss:
        return self  # the moving average of a task needs no second ear, and has no stage of its own


def load_ear(path: Path, device: torch.device | str) -> AudioEncoder:
    """What `stridor train ssl` left, or a folder that holds a Hugging Face encoder. UserError where it is neither."""
    return HuggingFaceEncoder.load(path, device) if path.is_dir() else SslEncoder.load(path).to(device)


def staged_loss(
    config: StageConfig,
    encoder: AudioEncoder | None,
    codec: Codec,
    scale: tuple[Tensor, Tensor],
    batch_size: int,
    share_of: tuple[float, float],
) -> StagedLoss:
    """Ready to be part of a task. scale: mean and standard deviation of the codec's latents, [latent_dim] each.

    UserError without an encoder, or in one of several processes: each would find a stage of its own.
    """
    if encoder is None:
        raise UserError(
            "Stage-adaptive training listens with an encoder, and there is none.",
            remedy="Train one with `stridor train ssl`, and name it with --ssl.",
        )
    if join_processes().count > 1:
        raise UserError("Stage-adaptive training takes one process.", remedy="Leave out --processes, or --stages.")
    device = next(codec.parameters()).device
    sound = LatentSound(codec, *scale).to(device)
    return StagedLoss(StageController(config, sound, encoder), batch_size, share_of)
