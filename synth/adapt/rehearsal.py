"""What the base can do already and shall go on doing: windows of other techniques, drawn by the base itself.

While one technique is adapted, a share of every batch asks for the others, and the adapted network is held to what the
base says there. No recordings of them are needed (after generative replay, Shin et al. 2017, and the prior
preservation of DreamBooth, Ruiz et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synth.diffusion.conditioning import pathway_slices
from synth.diffusion.unet import Denoiser
from synth.spec.lanes import TECHNIQUES, Pathway
from synth.train.control import random_requests
from synth.train.diffusion import Statistics
from synth.train.distill import draw

_MOST_OF_ADAPTED = 0.3
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Windows: normalised latents [n, WINDOW_FRAMES, C] and their conditions [n, WINDOW_FRAMES, CONDITION_DIM]."""

    latents: Tensor
    condition: Tensor

    def rows(self, n: int, n_frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` of them, each cut to `n_frames`."""
        device = self.latents.device
        row = torch.randint(len(self.latents), (n,), generator=generator, device=device)
        most = self.latents.shape[1] - n_frames
        first = int(torch.randint(most + 1, (1,), generator=generator, device=device))
        frames = slice(first, first + n_frames)
        return self.latents[row, frames], self.condition[row, frames]


@torch.no_grad()
def draw_rehearsal(
    base: Denoiser,
    statistics: Statistics,
    n: int,
    adapted: str,
    *,
    n_steps: int,
    jumps: bool,
    seed: int,
    use_bf16: bool = True,
) -> Rehearsal:
    """Let the base sing `n` windows of random lanes under other techniques than `adapted`.

    n_steps, jumps   of the sampling; jumps for a distilled base
    """
    device = base.device
    generator = torch.Generator(device).manual_seed(seed)
    kept: list[Tensor] = []
    column = pathway_slices()[Pathway.TECHNIQUE].start + TECHNIQUES.index(adapted)
    while sum(map(len, kept)) < n:
        condition = random_requests(statistics, generator, 2 * n).condition
        kept.append(condition[condition[..., column].amax(1) <= _MOST_OF_ADAPTED])
    conditions = torch.cat(kept)[:n]
    noise = torch.randn((*conditions.shape[:2], base.config.latent_dim), generator=generator, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16):
        drawn = [
            draw(base, c, z, n_steps, jumps=jumps).float()
            for c, z in zip(conditions.split(_CHUNK), noise.split(_CHUNK), strict=True)
        ]
    return Rehearsal(torch.cat(drawn), conditions)
