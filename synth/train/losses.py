"""What the codec is trained to match: spectra at several resolutions, levels and modulation of bands, and the HNR."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth.codec.bands import FILTER_BINS, FILTER_FFT
from synth.dsp.mel import mel_filterbank
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

_FFT_SIZES = (4096, 2048, 1024, 512, 256, 128)
_FLOOR = 2e-5
# Log spectra of two realisations of one noise differ, and the best guess in the mean absolute sense is their median,
# 1.6 dB under their power. Powers pooled over a patch hardly scatter, so comparing them keeps noise at its level.
_POOLED_SIZES = (2048, 512)
_POOL_BINS, _POOL_FRAMES = 8, 8
_POOLED_WEIGHT = 0.25

_LOWEST_HZ, _HIGHEST_HZ = 40.0, 16_000.0
_POWER_FLOOR = 1e-8
_AVERAGED_FRAMES = 10
# Band levels whose modulation is compared: (transform size, hop, bands, modulation bands in Hz).
_SLOW = (2048, HOP_SAMPLES, 80, ((1.5, 4.0), (4.0, 12.0), (12.0, 48.0)))
_FAST = (512, HOP_SAMPLES // 4, 24, ((12.0, 30.0), (30.0, 70.0), (70.0, 150.0)))
_DEPTH_FLOOR = 1e-2

_RIPPLE_FROM_PERIODS = 0.7
# How many frames an alternation must last to be one: faster changes are the voice's.
_ALTERNATION_FRAMES = 8


def _magnitude(audio: Tensor, n_fft: int, window: Tensor) -> Tensor:
    spectrum = torch.stft(audio, n_fft, n_fft // 4, window=window, center=False, return_complex=True)
    # A square root of an exact zero has an infinite slope.
    return (spectrum.real.square() + spectrum.imag.square() + 1e-14).sqrt() / window.square().sum().sqrt()


def _pooled_difference(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of half the natural log of powers pooled over patches; magnitudes [B, bins, frames]."""
    pool = nn.functional.avg_pool2d
    patch = (_POOL_BINS, _POOL_FRAMES)
    a, b = pool(made.square()[:, None, 1:], patch), pool(wanted.square()[:, None, 1:], patch)
    return 0.5 * ((a + _FLOOR**2).log() - (b + _FLOOR**2).log()).abs().mean()


class MultiResolutionSpectralLoss(nn.Module):
    """Mean absolute log-magnitude difference plus spectral convergence (Yamamoto et al. 2020), averaged over sizes."""

    def __init__(self) -> None:
        super().__init__()
        for n_fft in _FFT_SIZES:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """made, wanted [B, n_samples] -> scalar."""
        total = made.new_zeros(())
        for n_fft in _FFT_SIZES:
            window = self.get_buffer(f"window_{n_fft}")
            a, b = _magnitude(made, n_fft, window), _magnitude(wanted, n_fft, window)
            log_difference = ((a + _FLOOR).log() - (b + _FLOOR).log()).abs().mean()
            convergence = (a - b).square().sum((1, 2)).sqrt() / (b.square().sum((1, 2)).sqrt() + 0.05)
            total = total + log_difference + 0.5 * convergence.mean()
            if n_fft in _POOLED_SIZES:
                total = total + _POOLED_WEIGHT * len(_FFT_SIZES) * _pooled_difference(a, b)
        return total / len(_FFT_SIZES)


class BandLosses(nn.Module):
    """Levels of mel bands, of every frame and of 100 ms averages, and the depth of their modulation."""

    def __init__(self) -> None:
        super().__init__()
        for name, (n_fft, _, n_bands, _) in {"slow": _SLOW, "fast": _FAST}.items():
            bank = mel_filterbank(n_bands, n_fft, SAMPLE_RATE_HZ, _LOWEST_HZ, _HIGHEST_HZ)
            self.register_buffer(f"bank_{name}", torch.from_numpy(bank), persistent=False)
            self.register_buffer(f"window_{name}", torch.hann_window(n_fft), persistent=False)

    def band_power(self, audio: Tensor, name: str) -> Tensor:
        """audio [B, n_samples] -> power of the bands named [B, n_frames, n_bands]."""
        n_fft, hop, _, _ = {"slow": _SLOW, "fast": _FAST}[name]
        window = self.get_buffer(f"window_{name}")
        spectrum = torch.stft(audio, n_fft, hop, window=window, center=False, return_complex=True)
        power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum()
        return power.transpose(1, 2) @ self.get_buffer(f"bank_{name}")

    def forward(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """made, wanted [B, n_samples] -> "mel" and "mel_100ms" in tens of dB, "modulation" as log depth."""
        both = torch.cat([made, wanted])
        slow, fast = self.band_power(both, "slow"), self.band_power(both, "fast")
        a, b = slow.chunk(2)
        averaged = nn.functional.avg_pool1d(slow.transpose(1, 2), _AVERAGED_FRAMES, _AVERAGED_FRAMES // 2)
        return {
            "mel": (_tens_of_db(a) - _tens_of_db(b)).abs().mean(),
            "mel_100ms": torch.sub(*_tens_of_db(averaged).chunk(2)).abs().mean(),
            "modulation": 0.5 * (_modulation_difference(slow, _SLOW) + _modulation_difference(fast, _FAST)),
        }


def _tens_of_db(power: Tensor) -> Tensor:
    return torch.log10(power + _POWER_FLOOR)


def _modulation_difference(power: Tensor, settings: tuple[int, int, int, tuple[tuple[float, float], ...]]) -> Tensor:
    """power [2B, n_frames, n_bands], made before wanted -> mean absolute difference of log modulation depths."""
    _, hop, _, rates = settings
    levels = _tens_of_db(power)
    n_frames = levels.shape[1]
    window = torch.hann_window(n_frames, device=levels.device)[:, None]
    spectrum = torch.fft.rfft((levels - levels.mean(dim=1, keepdim=True)) * window, dim=1)
    energy = (spectrum.real.square() + spectrum.imag.square()) / n_frames
    rates_hz = torch.arange(energy.shape[1]) * (SAMPLE_RATE_HZ / hop / n_frames)
    depths = []
    for low_hz, high_hz in rates:
        chosen = torch.nonzero((rates_hz >= low_hz) & (rates_hz < high_hz)).flatten().tolist()
        if chosen:
            depths.append(energy[:, chosen[0] : chosen[-1] + 1].mean(dim=1))
    log_depth = 0.5 * torch.log(torch.stack(depths, dim=1) + _DEPTH_FLOOR)
    made, wanted = log_depth.chunk(2)
    return (made - wanted).abs().mean()


def ripple_loss(log_gains: Tensor, f0_hz: Tensor) -> Tensor:
    """Energy of the pulse filters' cepstra beyond 0.7 periods: ripple that follows single harmonics.

    A filter that holds the harmonics of one pitch gives another pitch a wrong timbre, so it must be an envelope, as
    CheapTrick's spectra are (Morise 2015). log_gains [B, 2, 2T, FILTER_BINS], f0_hz [B, T] -> scalar, nepers squared
    """
    cepstrum = torch.fft.irfft(log_gains[:, 0], n=FILTER_FFT)[..., : FILTER_FFT // 2]
    period = (SAMPLE_RATE_HZ / f0_hz.clamp(min=60.0)).repeat_interleave(2, dim=1).unsqueeze(-1)
    quefrency = torch.arange(FILTER_FFT // 2, device=log_gains.device)
    beyond = (quefrency > _RIPPLE_FROM_PERIODS * period).float()
    return (2.0 * cepstrum.square() * beyond).sum(-1).mean()


def alternation_loss(log_gains: Tensor) -> Tensor:
    """Energy of what alternates between the two sub-frames of every frame, frame after frame.

    Distances of spectra with windows over 10 ms hardly see it, yet it puts sidebands 100 Hz beside every harmonic, and
    a hum beside 0 Hz. log_gains [B, 2, 2T, FILTER_BINS], T >= 8 -> scalar, nepers squared
    """
    before, here, after = log_gains[:, :, :-2], log_gains[:, :, 1:-1], log_gains[:, :, 2:]
    # A slope or a slow curve is no alternation: its middle lies between its neighbours.
    swing = 0.25 * (2.0 * here - before - after)
    sign = 1.0 - 2.0 * (torch.arange(swing.shape[2], device=swing.device) % 2)
    lasting = (swing * sign[:, None]).unfold(2, 2 * _ALTERNATION_FRAMES, _ALTERNATION_FRAMES).mean(-1)
    return lasting.square().mean()


def filter_hnr_db(log_gains: Tensor) -> Tensor:
    """Harmonic-to-noise ratio that the two filters will give, as the cycle-correlation estimator sees it.

    log_gains [B, 2, S, FILTER_BINS] -> dB [B, S]: energies up to 8 kHz behind a first-order pre-emphasis.
    """
    bin_hz = SAMPLE_RATE_HZ / 2 / (FILTER_BINS - 1)
    used = int(8000 / bin_hz)
    w = 2 * torch.pi * torch.arange(used, device=log_gains.device) * bin_hz / 16_000
    weight = 1 + 0.97**2 - 2 * 0.97 * torch.cos(w)
    energy = (torch.exp(2 * log_gains[..., :used]) * weight).sum(-1) + 1e-12
    return 10 * (energy[:, 0].log10() - energy[:, 1].log10())


def hnr_loss(log_gains: Tensor, wanted_db: Tensor, mask: Tensor) -> Tensor:
    """Absolute error in tens of dB where `mask`; wanted_db, mask [B, T] at 100 Hz, clamped to -10..30 dB."""
    made = filter_hnr_db(log_gains).clamp(-14, 34)
    wanted = wanted_db.clamp(-12, 30).repeat_interleave(2, dim=1)
    weight = mask.repeat_interleave(2, dim=1)
    return ((made - wanted).abs() / 10 * weight).sum() / weight.sum().clamp(min=1)
