"""Discriminators that hear spectra at several resolutions, and the losses of the game they play with the codec.

After the multi-resolution spectrogram discriminators of UnivNet (Jang et al. 2021) and EnCodec (Defossez et al. 2022),
with the hinge loss and feature matching. They see magnitudes only: phases of a source-filter decoder are never those
of a voice, so that a judge of phases would always win and teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_FFT_SIZES = (2048, 1024, 512, 256)
_MAGNITUDE_FLOOR = 1e-4
_SLOPE = 0.1
_STORED_STD = 0.15


class ScaledConv2d(nn.Module):
    """Convolution whose weights are stored at one scale and brought to He's at run time (Karras et al. 2018, section
    4.1): steps of the codec's learning rate, around 5e-4 then, move every weight by some thousandths of its size."""

    def __init__(self, n_inputs: int, n_outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(_STORED_STD * torch.randn(n_outputs, n_inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.scale = (2.0 / (n_inputs * kernel[0] * kernel[1])) ** 0.5 / _STORED_STD
        self.stride = stride
        self.padding = (kernel[0] // 2, kernel[1] // 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n_inputs, H, W] -> [B, n_outputs, H', W']."""
        return nn.functional.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class SpectralDiscriminator(nn.Module):
    """Judges the log-magnitude spectrogram of one transform size, patch by patch."""

    def __init__(self, n_fft: int, n_channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        # Kernels and strides are (frequency, time).
        shapes = [((9, 3), (2, 1)), ((9, 3), (2, 1)), ((9, 3), (2, 2)), ((9, 3), (2, 1)), ((3, 3), (1, 1))]
        widths = [1] + [n_channels] * len(shapes)
        self.layers = nn.ModuleList(
            ScaledConv2d(widths[index], widths[index + 1], kernel, stride)
            for index, (kernel, stride) in enumerate(shapes)
        )
        self.judge = ScaledConv2d(n_channels, 1, (3, 3), (1, 1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """audio [B, n_samples] -> (scores [B, 1, H, W], features of every layer)."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(), self.n_fft, self.n_fft // 4, window=self.window, center=False, return_complex=True
            )
            power = (spectrum.real.square() + spectrum.imag.square()) / self.window.square().sum()
            x = 0.25 * (0.5 * torch.log(power + _MAGNITUDE_FLOOR**2) + 5.0)[:, None]
        features = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        return self.judge(x), features


class Discriminators(nn.Module):
    """One judge a transform size."""

    def __init__(self, n_channels: int = 32) -> None:
        super().__init__()
        self.judges = nn.ModuleList(SpectralDiscriminator(n_fft, n_channels) for n_fft in _FFT_SIZES)

    def forward(self, audio: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """audio [B, n_samples] -> what every judge says."""
        return [judge(audio) for judge in self.judges]


@dataclass(frozen=True, slots=True)
class GameLosses:
    """judge trains the discriminators alone; fooling and matching train the codec alone."""

    judge: Tensor
    fooling: Tensor
    matching: Tensor


def play(discriminators: Discriminators, made: Tensor, wanted: Tensor) -> GameLosses:
    """Both sides of the game in one graph: summed, a single backward pass gives each its own gradients.

    made, wanted [B, n_samples]. The codec's side goes through the discriminators with their weights held constant.
    """
    real = discriminators(wanted)
    fake = discriminators(made.detach())
    held = {name: value.detach() for name, value in discriminators.named_parameters()}
    fooled = torch.func.functional_call(discriminators, held, (made,))
    judge, fooling, matching = (made.new_zeros(()) for _ in range(3))
    for (real_score, real_features), (fake_score, _), (score, features) in zip(real, fake, fooled, strict=True):
        judge = judge + torch.relu(1 - real_score.float()).mean() + torch.relu(1 + fake_score.float()).mean()
        fooling = fooling - score.float().mean()
        for wanted_feature, made_feature in zip(real_features, features, strict=True):
            target = wanted_feature.detach().float()
            matching = matching + (made_feature.float() - target).abs().mean() / (target.abs().mean() + 1e-3)
    n_judges = len(discriminators.judges)
    n_layers = len(real[0][1])
    return GameLosses(judge / n_judges, fooling / n_judges, matching / (n_judges * n_layers))
