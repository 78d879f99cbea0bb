"""A waveform U-Net of the package's blocks at the size of our voice, told the same lanes by the package's own means.

The package can inject channels at any depth (its `context_channels`). Our lanes have a hundred frames a second, so the
factors are chosen to meet that rate: at depth 5 one position is one frame. They are injected there and, held, at the
next two finer depths and at the coarser one. Everything else is as the package makes it: the v-objective with noise
levels drawn uniformly (Salimans & Ho 2022), its sampler, its skip connections, its attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from operator import mul
from typing import Any, Final

import torch
from torch import Tensor, nn

from synth.baseline.package import audio_diffusion
from synth.diffusion.conditioning import CONDITION_DIM
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES

WEIGHTS_KIND: Final = "waveform baseline"
DEFAULT_STEPS: Final = 50  # what the package's README samples with


@dataclass(frozen=True, slots=True)
class WaveformConfig:
    """Shape of the network, a value a depth.

    factors          downsampling on entering each depth; their product up to one depth must be HOP_SAMPLES
    injected         whether the lanes come in at that depth
    gain             the audio is multiplied by it on the way in, to about unit variance where somebody sings
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 192, 320, 384)
    factors: tuple[int, ...] = (1, 4, 4, 2, 3, 5, 2)
    items: tuple[int, ...] = (1, 2, 2, 2, 2, 2, 2)
    attentions: tuple[int, ...] = (0, 0, 0, 0, 0, 1, 1)
    injected: tuple[bool, ...] = (False, False, False, True, True, True, True)
    attention_heads: int = 8
    attention_features: int = 48
    modulation_features: int = 256
    condition_dim: int = CONDITION_DIM
    gain: float = 8.0

    def __post_init__(self) -> None:
        depths = {len(self.channels), len(self.factors), len(self.items), len(self.attentions), len(self.injected)}
        if len(depths) != 1 or HOP_SAMPLES not in accumulate(self.factors, mul):
            raise ValueError("the depths of the baseline do not fit together")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WaveformConfig:
        """What as_dict wrote. UserError for an unknown or missing name."""
        try:
            given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            return cls(**given)
        except (TypeError, ValueError) as fault:
            raise UserError(
                f"The baseline's configuration cannot be read: {fault}.", remedy="Train the baseline again."
            ) from fault

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return asdict(self)

    @property
    def factor(self) -> int:
        """Samples to one position of the deepest depth: lengths are multiples of it."""
        return list(accumulate(self.factors, mul))[-1]


class WaveformDiffusion(nn.Module):
    """The package's DiffusionModel with our lanes on its context channels."""

    def __init__(self, config: WaveformConfig) -> None:
        super().__init__()
        self.config = config
        library = audio_diffusion()
        model = library.DiffusionModel(
            net_t=library.UNetV0,
            diffusion_t=library.VDiffusion,
            sampler_t=library.VSampler,
            in_channels=1,
            channels=list(config.channels),
            factors=list(config.factors),
            items=list(config.items),
            attentions=list(config.attentions),
            attention_heads=config.attention_heads,
            attention_features=config.attention_features,
            modulation_features=config.modulation_features,
            context_channels=[config.condition_dim * at for at in config.injected],
        )
        self.net: nn.Module = model.net
        self._model = (model,)  # in a tuple: it names the same net three times over, which is stored once

    def __deepcopy__(self, _memo: dict[int, Any]) -> WaveformDiffusion:
        """Built anew: the package's blocks close over their layers, so a plain copy would use the original's."""
        first = next(self.parameters())
        copied = WaveformDiffusion(self.config).to(first.device, first.dtype)
        copied.load_state_dict(self.state_dict())
        return copied.train(self.training)

    def loss(self, audio: Tensor, condition: Tensor) -> Tensor:
        """The v-objective at random noise levels. audio [B, n_samples], condition [B, n_frames, CONDITION_DIM]."""
        return self._model[0](self.config.gain * audio[:, None], channels=self._channels(condition))

    @torch.no_grad()
    def sample(self, condition: Tensor, generator: torch.Generator, n_steps: int = DEFAULT_STEPS) -> Tensor:
        """Audio [B, n_frames * HOP_SAMPLES] for conditions [B, n_frames, CONDITION_DIM], on the condition's device."""
        n_frames = condition.shape[1]
        frames_each = -(-self.config.factor // HOP_SAMPLES)
        padding = -n_frames % frames_each
        padded = nn.functional.pad(condition.transpose(1, 2), (0, padding), mode="replicate").transpose(1, 2)
        noise = torch.randn(
            (len(condition), 1, padded.shape[1] * HOP_SAMPLES), generator=generator, device=generator.device
        ).to(condition.device)
        drawn: Tensor = self._model[0].sample(noise, num_steps=n_steps, channels=self._channels(padded))
        return drawn[:, 0, : n_frames * HOP_SAMPLES] / self.config.gain

    def _channels(self, condition: Tensor) -> list[Tensor | None]:
        """The condition at every depth's rate, channels first; held where the rate is higher, averaged where lower."""
        at_frames = condition.transpose(1, 2)
        channels: list[Tensor | None] = []
        for samples, injected in zip(accumulate(self.config.factors, mul), self.config.injected, strict=True):
            if not injected:
                channels.append(None)
            elif samples <= HOP_SAMPLES:
                channels.append(at_frames.repeat_interleave(HOP_SAMPLES // samples, dim=-1))
            else:
                channels.append(nn.functional.avg_pool1d(at_frames, samples // HOP_SAMPLES))
        return channels

    @property
    def n_parameters(self) -> int:
        """Of the network."""
        return sum(parameter.numel() for parameter in self.parameters())
