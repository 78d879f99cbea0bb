"""What a refinement asks of a network: random lanes over their whole ranges, as the product would ask them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.spec.audio import WINDOW_FRAMES
from synth.spec.lanes import TECHNIQUES, lane
from synth.train.conditions import LANES, condition_tensor
from synth.train.diffusion import Statistics
from synth.train.hearing import EDGE_FRAMES, HEARD_LANES, LANE_SCALE

_MOVED_CHANCE = 0.6
_CONSTANT, _RAMP = 0.6, 0.25  # else a step


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked of the network, for n windows.

    condition [n, T, CONDITION_DIM], f0_hz [n, T], lanes [n, T, HEARD_LANES] scaled, wanted [n, T] where it counts
    """

    condition: Tensor
    f0_hz: Tensor
    lanes: Tensor
    wanted: Tensor

    def rows(self, index: Tensor) -> Requests:
        """Some of them."""
        return Requests(self.condition[index], self.f0_hz[index], self.lanes[index], self.wanted[index])


def _shapes(generator: torch.Generator, n: int, n_frames: int) -> Tensor:
    """Ways from 0 to 1 in time, [n, n_frames]: held at 0, a ramp, or a step somewhere."""
    device = generator.device
    kind = torch.rand((n, 1), generator=generator, device=device)
    x = torch.linspace(0, 1, n_frames, device=device)[None].expand(n, -1)
    step = (x > 0.25 + 0.5 * torch.rand((n, 1), generator=generator, device=device)).float()
    return torch.where(kind < _CONSTANT, torch.zeros_like(x), torch.where(kind < _CONSTANT + _RAMP, x, step))


def _travel(generator: torch.Generator, n: int, low: float, high: float) -> Tensor:
    """Random lane values between `low` and `high`, constant, gliding or stepping, [n, T]."""
    ends = low + (high - low) * torch.rand((n, 2), generator=generator, device=generator.device)
    way = _shapes(generator, n, WINDOW_FRAMES)
    return ends[:, :1] * (1 - way) + ends[:, 1:] * way


def random_requests(statistics: Statistics, generator: torch.Generator, n: int) -> Requests:
    """Lanes over their whole ranges, many at once, under pure techniques and mixtures, as the product would ask."""
    device = generator.device

    def chance(probability: float) -> Tensor:
        return torch.rand((n, 1), generator=generator, device=device) < probability

    lanes = torch.zeros((n, WINDOW_FRAMES, len(LANES)), device=device)
    for index, name in enumerate(LANES):
        spec = lane(name)
        moved = _travel(generator, n, spec.minimum, spec.maximum)
        resting = torch.full_like(moved, spec.default)
        lanes[..., index] = torch.where(chance(_MOVED_CHANCE), moved, resting)
    pitch = LANES.index("pitch")
    # Mostly where voices are; a fifth anywhere that can be drawn, so that level holds there too.
    usual = torch.where(chance(0.75), _travel(generator, n, 43.0, 71.0), _travel(generator, n, 31.0, 86.0))
    everywhere = _travel(generator, n, lane("pitch").minimum, lane("pitch").maximum)
    note = torch.where(chance(0.2), everywhere, usual)
    lanes[..., pitch] = note
    lanes[..., LANES.index("ingress")] = 0.0
    # Sometimes the voice begins or ends inside the window.
    frames = torch.arange(WINDOW_FRAMES, device=device)[None]
    first = torch.randint(10, 50, (n, 1), generator=generator, device=device)
    presence = torch.where(chance(0.12), (frames >= first).float(), torch.ones((n, WINDOW_FRAMES), device=device))
    lanes[..., LANES.index("presence")] = presence
    loudness = LANES.index("loudness")
    lanes[..., loudness] = torch.where(chance(0.6), _travel(generator, n, -45.0, -12.0), lanes[..., loudness])

    a, b = (torch.randint(len(TECHNIQUES), (n,), generator=generator, device=device) for _ in range(2))
    mixture = torch.rand((n, 1), generator=generator, device=device)
    share = torch.where(chance(0.7), torch.ones_like(mixture), mixture)
    one_hot = torch.nn.functional.one_hot
    technique = share * one_hot(a, len(TECHNIQUES)) + (1 - share) * one_hot(b, len(TECHNIQUES))
    middle = np.asarray(statistics.timbre.mean, dtype=np.float32)
    typical = [statistics.technique_timbre.get(name, middle) for name in TECHNIQUES]
    known = torch.from_numpy(np.stack(typical)).to(device)
    timbre = technique @ known.float()
    spread = known.new_tensor(statistics.timbre.std)
    timbre = timbre + 0.3 * spread * torch.randn(timbre.shape, generator=generator, device=device)
    technique = torch.where(chance(0.1), torch.nan, technique)
    over_time = (n, WINDOW_FRAMES, -1)
    condition = condition_tensor(
        lanes, timbre[:, None].expand(*over_time), technique[:, None].expand(*over_time), statistics.timbre
    )
    scale = torch.tensor([LANE_SCALE[name] for name in HEARD_LANES], device=device)
    asked = torch.stack([lanes[..., LANES.index(name)] for name in HEARD_LANES], dim=-1) / scale
    wanted = torch.zeros_like(presence)
    wanted[:, EDGE_FRAMES:-EDGE_FRAMES] = 1.0
    settled = torch.nn.functional.avg_pool1d(presence[:, None], 17, 1, 8)[:, 0] > 0.99
    return Requests(condition, 440.0 * 2.0 ** ((note - 69.0) / 12.0), asked, wanted * settled)
