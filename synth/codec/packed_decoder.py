"""The codec's decoder as a processor plays it: the same function of the same weights, packed (see synth.codec.packed).

Only frames that are heard in the cells asked for are computed: each block gives as many as the next one needs. The
minimum phase is linear in the log gains, and they in their control points, so one product gives both. All is float32:
playing live (synth.streaming) has to give the same samples to -100 dB.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from synth.codec.bands import FILTER_BINS, FILTER_FFT, minimum_phase_angle
from synth.codec.blocks import ConvNeXtBlock
from synth.codec.model import (
    FILTER_WINDOW,
    GATE_LIMIT,
    LOG_GAIN_RANGE,
    LOG_GAIN_SCALE,
    SUB_HOP,
    SUBFRAMES,
    Codec,
    Decoder,
)
from synth.codec.packed import PackedBlock, PackedLinear, after_norm, normalised
from synth.spec.audio import CELL_FRAMES, DECODER_FUTURE_FRAMES, DECODER_PAST_FRAMES, HOP_SAMPLES

# A window begins half a hop before its sub-frame; a zero-phase filter spreads this far to both sides of it.
_WINDOW_LEAD = SUB_HOP // 2
_SPREAD = (FILTER_FFT - FILTER_WINDOW) // 2
# Frames before and after the cells whose filters are heard in them.
_BEFORE = -(-(FILTER_FFT - _WINDOW_LEAD) // HOP_SAMPLES)
_AFTER = -(-(_WINDOW_LEAD + _SPREAD) // HOP_SAMPLES)


def packed_codec(codec: Codec) -> PackedCodec | None:
    """`codec` packed for decoding; None where its decoder hears further than the frames that cells are decoded with."""
    mixes = [cast(ConvNeXtBlock, block).mix for block in codec.decoder.blocks]
    past, future = sum(mix.past for mix in mixes), sum(mix.future for mix in mixes)
    fits = past + _BEFORE <= DECODER_PAST_FRAMES and future + _AFTER <= DECODER_FUTURE_FRAMES
    return PackedCodec(codec) if fits else None


class PackedCodec:
    """Decodes cells. When the codec's weights change, it is to be made anew. Any number of threads may call it."""

    def __init__(self, codec: Codec) -> None:
        self.config = codec.config
        decoder = codec.decoder
        blocks = [cast(ConvNeXtBlock, block) for block in decoder.blocks]
        n_frames = _BEFORE + CELL_FRAMES + _AFTER
        # Frames that the blocks do not use of those that cells are decoded with.
        self._skip_first = DECODER_PAST_FRAMES - _BEFORE - sum(block.mix.past for block in blocks)
        self._skip_last = DECODER_FUTURE_FRAMES - _AFTER - sum(block.mix.future for block in blocks)
        self._enter = PackedLinear(decoder.enter.weight, decoder.enter.bias, n_frames)
        self._blocks = [PackedBlock(block, n_frames, padded=False) for block in blocks]
        self._epsilon = decoder.norm.eps
        self._controls = _Controls(decoder, n_frames)
        self._window = decoder.window.detach()

    @torch.inference_mode()
    def sound(self, latents: Tensor, log_f0: Tensor, source: Tensor) -> Tensor:
        """The audio of n cells -> [n * CELL_FRAMES * HOP_SAMPLES].

        latents   [n_frames, latent_dim], n_frames = DECODER_PAST_FRAMES + n * CELL_FRAMES + DECODER_FUTURE_FRAMES
        log_f0    [n_frames] about unit range
        source    [3, n_frames * HOP_SAMPLES] pulses, noise and gated noise, as synth.codec.excitation makes them
        """
        n_inputs = len(latents) - self._skip_last
        inputs = torch.cat([latents, log_f0.unsqueeze(-1)], dim=-1)[None, self._skip_first : n_inputs]
        x = self._enter(inputs)
        for block in self._blocks:
            x = block(x)
        first = DECODER_PAST_FRAMES - _BEFORE - self._skip_first
        heard = inputs[0, first : first + x.shape[1]]
        pulses, noise, gates = self._controls(normalised(x[0], self._epsilon), heard)
        start = (DECODER_PAST_FRAMES - _BEFORE) * HOP_SAMPLES - _WINDOW_LEAD
        windows = source[:, start:].unfold(-1, FILTER_WINDOW, SUB_HOP)[:, : len(pulses)]
        breath = windows[1] if gates is None else torch.addcmul(windows[1], windows[2], gates.unsqueeze(-1))
        n_samples = (len(latents) - DECODER_PAST_FRAMES - DECODER_FUTURE_FRAMES) * HOP_SAMPLES
        early = _BEFORE * HOP_SAMPLES + _WINDOW_LEAD
        # In the middle of its transform, a window's zero-phase filter has room on both sides.
        spread = self._filtered(breath, _SPREAD, noise)[early + _SPREAD :]
        return spread[:n_samples] + self._filtered(windows[0], 0, pulses)[early : early + n_samples]

    def _filtered(self, windows: Tensor, offset: int, response: Tensor) -> Tensor:
        """Windows [S, FILTER_WINDOW] put at `offset` of their transforms, filtered, and overlapped -> flat."""
        n_windows = len(windows)
        padded = windows.new_zeros(n_windows, FILTER_FFT)
        torch.mul(windows, self._window, out=padded[:, offset : offset + FILTER_WINDOW])
        filtered = torch.fft.irfft(torch.fft.rfft(padded) * response, n=FILTER_FFT)
        n_hops = -(-FILTER_FFT // SUB_HOP)
        summed = windows.new_zeros(n_windows + n_hops, SUB_HOP)
        for hop in range(n_hops):
            piece = filtered[:, hop * SUB_HOP : (hop + 1) * SUB_HOP]
            summed[hop : hop + n_windows, : piece.shape[1]] += piece
        return summed.flatten()


class _Controls:
    """The last block's output, normalised, to what filters the pulses and the noise, and the gates."""

    def __init__(self, decoder: Decoder, n_frames: int) -> None:
        n_outputs, n_bands = decoder.n_outputs, decoder.config.n_bands
        weight, bias = after_norm(decoder.leave.weight, decoder.leave.bias, decoder.norm)
        skip = None if decoder.skip is None else decoder.skip.weight.detach()
        # What is stored a sub-frame at a time, pulses then noise, comes out one after the other.
        rows = torch.arange(n_outputs).unflatten(0, (SUBFRAMES, 2, n_bands)).transpose(0, 1).flatten(1)
        self._bands = [
            PackedLinear(LOG_GAIN_SCALE * weight[here], LOG_GAIN_SCALE * bias[here], n_frames) for here in rows
        ]
        self._skips = [
            None if skip is None else PackedLinear(LOG_GAIN_SCALE * skip[here], None, n_frames) for here in rows
        ]
        has_gates = weight.shape[0] > n_outputs
        self._gates = PackedLinear(weight[n_outputs:], bias[n_outputs:], n_frames) if has_gates else None
        basis = decoder.basis.detach()
        angles = minimum_phase_angle(basis.double()).float()
        self._n_bands = n_bands
        self._pulses = PackedLinear(torch.cat([basis, angles], dim=1).T, None, SUBFRAMES * n_frames)
        self._noise = PackedLinear(basis.T, None, SUBFRAMES * n_frames)

    def __call__(self, hidden: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """hidden [T, decoder_dim], inputs [T, latent_dim + 1] -> responses [2T, FILTER_BINS] and gates [2T]."""
        log_pulses, angles = self._pulses(self._points(0, hidden, inputs)).split(FILTER_BINS, dim=-1)
        gains = torch.exp(log_pulses)
        # Twice as fast as torch.polar, which knows no vectors.
        pulses = torch.complex(gains * torch.cos(angles), gains * torch.sin(angles))
        noise = torch.exp(self._noise(self._points(1, hidden, inputs)))
        gates = None if self._gates is None else GATE_LIMIT * torch.tanh(self._gates(hidden)).flatten()
        return pulses, noise, gates

    def _points(self, kind: int, hidden: Tensor, inputs: Tensor) -> Tensor:
        """Log gains at the control points of the pulses' filter (0) or of the noise's (1) -> [2T, n_bands]."""
        skip, bands = self._skips[kind], self._bands[kind]
        points = bands(hidden) if skip is None else bands.plus(hidden, skip(inputs))
        return points.view(-1, self._n_bands).clamp_(*LOG_GAIN_RANGE)
