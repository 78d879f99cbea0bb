"""How good a stack of tiny denoisers is: errors a noise band and a pathway, and few-step samples against recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from synth.diffusion.conditioning import PRESENCE_COLUMNS, pathway_slices
from synth.ssl.encoder import AudioEncoder
from synth.ssl.log_mel import NEPERS_PER_UNIT
from synth.train.ablation_data import Material, Windows
from synth.train.latent_sound import LatentSound
from synth.train.stacked import StackedDenoisers

N_BANDS = 8
SAMPLING_STEPS = (4, 16)
_SEGMENT_TOKENS = 14  # embeddings are averaged over so many, about a quarter of a second, before they are compared
_DB_PER_UNIT = NEPERS_PER_UNIT * 10.0 / 2.302585093
_CHUNK = 256


class Judge:
    """Measures on the validation split, always the same noise; `encoder` guides none of the runs."""

    def __init__(self, material: Material, sound: LatentSound, encoder: AudioEncoder) -> None:
        device = material.mean.device
        generator = torch.Generator(device=device).manual_seed(5)
        self.sound, self.encoder = sound, encoder
        self.asked = material.asked.at(slice(None))
        self.noise = torch.randn((2, *self.asked.latents.shape), generator=generator, device=device)
        self._jitter = torch.rand((N_BANDS, len(self.asked)), generator=generator, device=device)
        self._mel = self._hear(self.asked.latents)
        reference = material.reference.at(slice(None))
        features = self._features(_mels(sound, reference), reference.sung)
        self._middle, self._scale = features.mean(0), features.std(0) + 1e-3
        self._reference = (features - self._middle) / self._scale
        real = self._segments(self._mel, self.asked.sung)
        self.real_to_real = float(kernel_distance(real, self._reference))

    def _hear(self, latents: Tensor) -> Tensor:
        return _mels(self.sound, Windows(latents, self.asked.condition, self.asked.f0_hz, self.asked.sung))

    def _features(self, mel: Tensor, sung: Tensor) -> Tensor:
        """Mean embeddings of segments in which somebody sings -> [n, D]."""
        embedded = torch.cat([self.encoder.embed_mel(part) for part in mel.split(_CHUNK)])
        whole = embedded.shape[1] // _SEGMENT_TOKENS * _SEGMENT_TOKENS
        segments = embedded[:, :whole].unflatten(1, (-1, _SEGMENT_TOKENS)).mean(2)
        voiced = nn.functional.adaptive_avg_pool1d(sung[:, None], segments.shape[1])[:, 0] > 0.5
        return segments[voiced]

    def _segments(self, mel: Tensor, sung: Tensor) -> Tensor:
        return (self._features(mel, sung) - self._middle) / self._scale

    @torch.no_grad()
    def measure(self, stack: StackedDenoisers, *, last: bool) -> list[dict[str, Any]]:
        """Of the averaged weights of every model. The errors a pathway are measured at the end only."""
        bands = self._errors(stack, self.asked.condition, range(N_BANDS))
        figures: list[dict[str, Any]] = [
            {"v_loss": _rounded(row.mean()), "bands": [_rounded(v) for v in row]} for row in bands
        ]
        for n_steps in SAMPLING_STEPS if last else SAMPLING_STEPS[:1]:
            self._sampled(stack, n_steps, figures)
        if last:
            for name, condition in self._partial_conditions().items():
                errors = self._errors(stack, condition, range(0, N_BANDS, 2))
                for entry, row in zip(figures, errors, strict=True):
                    entry.setdefault("pathways", {})[name] = _rounded(row.mean())
        return figures

    def _errors(self, stack: StackedDenoisers, condition: Tensor, bands: Sequence[int]) -> Tensor:
        """Mean squared error of v -> [M, len(bands)], lowest noise first."""
        n_models, n = stack.n_models, len(self.asked)
        clean = self.asked.latents.expand(n_models, -1, -1, -1)
        rows = []
        for band in bands:
            u = ((band + self._jitter[band]) / N_BANDS).expand(n_models, n)
            noise = self.noise[band % 2].expand_as(clean)
            squared, _ = stack.predict(stack.averaged, clean, noise, u, condition.expand(n_models, -1, -1, -1))
            rows.append(squared.mean((1, 2, 3)))
        return torch.stack(rows, dim=1)

    def _partial_conditions(self) -> dict[str, Tensor]:
        """Everything, nothing, and each pathway alone; presence always stays."""
        full = self.asked.condition
        kept = {"everything": slice(None), "nothing": slice(0, 0)}
        kept |= {f"only {pathway.value}": part for pathway, part in pathway_slices().items()}
        conditions = {}
        for name, part in kept.items():
            condition = torch.zeros_like(full)
            condition[..., part] = full[..., part]
            condition[..., PRESENCE_COLUMNS] = full[..., PRESENCE_COLUMNS]
            conditions[name] = condition
        return conditions

    def _sampled(self, stack: StackedDenoisers, n_steps: int, figures: list[dict[str, Any]]) -> None:
        made = stack.sample(self.noise[0], self.asked.condition, n_steps)
        for entry, latents in zip(figures, made, strict=True):
            mel = self._hear(latents)
            error = (mel - self._mel).square().mean(-1).sqrt() * self.asked.sung
            entry[f"log_mel_db_{n_steps}"] = _rounded(_DB_PER_UNIT * error.sum() / self.asked.sung.sum())
            segments = self._segments(mel, self.asked.sung)
            entry[f"kernel_{n_steps}"] = _rounded(kernel_distance(segments, self._reference))


def _mels(sound: LatentSound, windows: Windows) -> Tensor:
    with torch.no_grad():
        parts = zip(windows.latents.split(_CHUNK), windows.f0_hz.split(_CHUNK), strict=True)
        return torch.cat([sound.mel(latents, f0_hz) for latents, f0_hz in parts])


def kernel_distance(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3 (Binkowski et al. 2018): [n, D], [m, D] -> scalar."""
    dim = a.shape[1]

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x.double() @ y.double().T / dim + 1.0) ** 3

    n, m = len(a), len(b)
    within_a, within_b = kernel(a, a), kernel(b, b)
    inside = (within_a.sum() - within_a.trace()) / (n * (n - 1)) + (within_b.sum() - within_b.trace()) / (m * (m - 1))
    return inside - 2.0 * kernel(a, b).mean()


def _rounded(value: Tensor) -> float:
    return float(f"{float(value):.6g}")
