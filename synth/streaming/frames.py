"""Everything of a voice that depends on its latents alone, ready one frame before it is heard.

Filters, false folds, breath and drift need no pitch finer than a frame, so they are made in small batches over all
voices, before the block that sounds them; pulses and phase (synth.streaming.pulses) are what is left for that block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from synth.codec.bands import FILTER_FFT, minimum_phase
from synth.codec.excitation import drift_time_s, fold_gain, knots_of
from synth.codec.layout import EXPLICIT_NAMES, N_EXPLICIT, expand_explicit
from synth.codec.model import SUBFRAMES, Codec, scaled_log_f0
from synth.codec.noise import Stream, normal
from synth.spec.audio import HOP_SAMPLES
from synth.streaming.filters import NetworkState, StreamingNetwork
from synth.streaming.rings import KNOTS_PER_FRAME, RING_FRAMES, FrameRings, IntArray

Float32Array = NDArray[np.float32]

# Filters are circular over FILTER_FFT: the end of a long response lands at its window's beginning, before its pulse.
# In a longer transform every pulse of a window rings out.
CAUSAL_FFT = 1536
MOST_AT_ONCE = 4  # frames prepared by one pass of the network: twice as many, and what they are for, fill the ring
_DEPTH, _RATE, _DRIFT = (EXPLICIT_NAMES.index(name) for name in ("roughness_depth", "roughness_rate_hz", "drift_cents"))


@dataclass(frozen=True, slots=True)
class FramesState:
    """One voice's frames: those still needed of the rings, latents not used yet, and the network's memory."""

    first: int
    ready: int
    fed: int
    held: int
    seed: int
    drift: float
    latest_hz: float
    rings: tuple[NDArray[np.generic], ...]
    pending: Float32Array
    pending_hz: Float32Array
    network: NetworkState


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the maker of frames needs of a voice to go on from frame `ready`, where the rings already hold the rest."""

    ready: int
    fed: int
    last: Float32Array  # [latent_dim] the latents that went in last
    pending: Float32Array  # [n_frames, latent_dim] those that have not
    network: NetworkState


class StreamingFrames(FrameRings):
    """Makes the frames of n_voices and keeps them in its rings. One thread at a time.

    made, taken     [n_voices] frames made in a row, and those whose latents have gone into the network. They are what
                    `ready` and `fed` tell the sounder, but for a voice that has gone back: what it is told stays, and
                    frames are replaced one by one
    held_frames     how many frames were held because no new latents were there in time

    are_pulses_causal   filters of pulses give nothing before the pulse; the codec's do, at about -50 dB
    buffer, offset      memory for the rings that a sounder in another process reads
    """

    def __init__(
        self,
        codec: Codec,
        n_voices: int,
        *,
        are_pulses_causal: bool = False,
        buffer: memoryview | None = None,
        offset: int = 0,
    ) -> None:
        pulse_fft = CAUSAL_FFT if are_pulses_causal else FILTER_FFT
        super().__init__(n_voices, pulse_fft, buffer=buffer, offset=offset)
        self._network = StreamingNetwork(codec.decoder, n_voices)
        self.look_ahead = self._network.look_ahead
        if self.look_ahead < 1:
            raise ValueError("streaming needs a decoder that looks ahead by a frame or more")
        self._device = codec.decoder.window.device
        self.latent_dim = codec.config.latent_dim
        if buffer is None:
            self.latest_hz[:] = 220.0
        self.made = np.zeros(n_voices, dtype=np.int64)
        self.taken = np.zeros(n_voices, dtype=np.int64)
        self.held_frames = np.zeros(n_voices, dtype=np.int64)
        self._pending = [np.zeros((0, self.latent_dim), dtype=np.float32)] * n_voices
        self._pending_hz = [np.zeros(0, dtype=np.float32)] * n_voices
        self._last = np.zeros((n_voices, self.latent_dim), dtype=np.float32)

    def begin(self, voice: int, seed: int, drift: float) -> None:
        """Forget what `voice` was; frame 0 is next. `drift` 0..1 of the frames' drift is heard."""
        self.ready[voice] = self.fed[voice] = 0
        self.made[voice] = self.taken[voice] = self.held_frames[voice] = 0
        self.seeds[voice], self.drifts[voice] = seed, drift
        self._pending[voice] = self._pending[voice][:0]
        self._pending_hz[voice] = self._pending_hz[voice][:0]

    def push(self, voice: int, latents: Float32Array, f0_hz: Float32Array | None) -> None:
        """The next frames [n, latent_dim] of `voice`; `f0_hz` [n] or None: what is latest when a frame is prepared."""
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(f"latents {latents.shape} are not [n_frames, {self.latent_dim}]")
        if f0_hz is not None and f0_hz.shape != (len(latents),):
            raise ValueError(f"pitch {f0_hz.shape} does not belong to {len(latents)} frames")
        hz = np.full(len(latents), np.nan, dtype=np.float32) if f0_hz is None else np.asarray(f0_hz, dtype=np.float32)
        self._pending[voice] = np.concatenate([self._pending[voice], latents.astype(np.float32)])
        self._pending_hz[voice] = np.concatenate([self._pending_hz[voice], hz])

    def come(self, voices: IntArray) -> IntArray:
        """How many more frames of `voices` [n] could be prepared from what has been pushed."""
        come = np.array([len(self._pending[voice]) for voice in voices]) - self.look_ahead * (self.taken[voices] == 0)
        return np.maximum(come, 0)

    def take_back(self, voice: int) -> int:
        """Forget what was pushed and is not used yet -> the frame that is to be pushed next."""
        self._pending[voice] = self._pending[voice][:0]
        self._pending_hz[voice] = self._pending_hz[voice][:0]
        return int(self.taken[voice])

    def prepare(self, voices: IntArray, need: IntArray, at_once: int = 1) -> None:
        """Let `made` reach `need` [n] for `voices` [n]. If one has to go, all whose latents are there go together.

        Each then goes by `at_once` frames, so that the network runs once in so many frames however the voices lie.
        """
        if (self.made[voices] >= need).all():
            return
        come = self.come(voices)
        together = (come >= at_once) & (self.made[voices] < need + at_once)
        if together.any():
            self._prepare(voices[together], at_once)
        while (short := need - self.made[voices]).max() > 0:
            due = short > 0
            self._prepare(voices[due], int(min(short[due].min(), MOST_AT_ONCE)))

    def _take(self, voice: int, n_frames: int) -> tuple[Float32Array, Float32Array]:
        """The next frames to go into the network; the last one is held where none has come."""
        latents, hz = self._pending[voice][:n_frames], self._pending_hz[voice][:n_frames]
        self._pending[voice] = self._pending[voice][n_frames:]
        self._pending_hz[voice] = self._pending_hz[voice][n_frames:]
        missing = n_frames - len(latents)
        if len(latents):
            self._last[voice] = latents[-1]
        elif self.taken[voice] == 0:
            raise ValueError(f"voice {voice} has begun without latents")
        if missing:
            self.held_frames[voice] += missing
            latents = np.concatenate([latents, np.repeat(self._last[voice][None], missing, axis=0)])
            hz = np.concatenate([hz, np.full(missing, np.nan, dtype=np.float32)])
        taken = int(self.taken[voice])
        explicit = expand_explicit(latents[:, -N_EXPLICIT:].T)
        places = np.arange(taken, taken + n_frames) % RING_FRAMES
        self.explicit[voice, places] = np.stack([explicit[name] for name in EXPLICIT_NAMES], axis=1)
        self.taken[voice] += n_frames
        self.fed[voice] = max(self.fed[voice], self.taken[voice])
        return latents, np.where(np.isnan(hz), np.float32(self.latest_hz[voice]), hz).astype(np.float32)

    def _inputs(self, latents: Float32Array, hz: Float32Array) -> torch.Tensor:
        log_f0 = scaled_log_f0(torch.from_numpy(hz)).unsqueeze(-1)
        return torch.cat([torch.from_numpy(latents), log_f0], dim=-1).to(self._device)

    @torch.inference_mode()
    def _prepare(self, voices: IntArray, n_frames: int) -> None:
        for voice in voices[self.taken[voices] == 0]:
            self._network.begin(int(voice), self._inputs(*self._take(int(voice), self.look_ahead)))
        taken = [self._take(int(voice), n_frames) for voice in voices]
        inputs = self._inputs(np.stack([latents for latents, _ in taken]), np.stack([hz for _, hz in taken]))
        log_gains, gates = self._network.advance(torch.from_numpy(voices), inputs)
        response = minimum_phase(log_gains[:, 0])
        if self.pulse_fft != FILTER_FFT:
            response = torch.fft.rfft(torch.fft.irfft(response, n=FILTER_FFT), n=self.pulse_fft)
        pulses = response.unflatten(1, (n_frames, SUBFRAMES)).cpu().numpy()
        noises = torch.exp(log_gains[:, 1]).unflatten(1, (n_frames, SUBFRAMES)).cpu().numpy()
        gated = 0.0 if gates is None else gates.unflatten(1, (n_frames, SUBFRAMES)).cpu().numpy()
        places = (self.made[voices][:, None] + np.arange(n_frames)) % RING_FRAMES
        rows = voices[:, None]
        self.pulse_filters[rows, places] = pulses
        self.noise_filters[rows, places] = noises
        self.gates[rows, places] = gated
        for voice, columns in zip(voices, places, strict=True):
            self._make_samples(int(voice), n_frames, columns)
        self.made[voices] += n_frames
        self.ready[voices] = np.maximum(self.ready[voices], self.made[voices])

    def _make_samples(self, voice: int, n_frames: int, places: IntArray) -> None:
        """False folds, breath and drift of the next frames: functions of the seed and of the voice's own time."""
        first, seed = int(self.made[voice]), int(self.seeds[voice])
        from_frame = max(first - 1, 0)
        around = np.arange(from_frame, int(self.taken[voice]))
        explicit = self.explicit[voice, around % RING_FRAMES]
        first_sample, n_samples = first * HOP_SAMPLES, n_frames * HOP_SAMPLES
        knots = knots_of(first_sample, n_samples)
        position = (knots + 0.5) / HOP_SAMPLES - 0.5
        depth = np.interp(position, around, explicit[:, _DEPTH])
        rate_hz = np.interp(position, around, explicit[:, _RATE])
        gain = fold_gain(seed, first_sample, n_samples, depth, rate_hz)
        breath = normal(seed, Stream.ASPIRATION, first_sample, n_samples) * gain
        self.gain[voice, places] = gain.reshape(n_frames, HOP_SAMPLES)
        self.breath[voice, places] = breath.reshape(n_frames, HOP_SAMPLES)
        if self.drifts[voice] > 0:
            cents = np.interp(position[:-2], around, explicit[:, _DRIFT]) * self.drifts[voice]
            self.drift_s[voice, places] = drift_time_s(seed, knots[:-2], cents).reshape(n_frames, KNOTS_PER_FRAME)
        else:
            self.drift_s[voice, places] = 0.0

    def continuation(self, voice: int) -> Continuation:
        """What is needed of `voice` to go on in other rings that hold its frames."""
        return Continuation(
            int(self.made[voice]),
            int(self.taken[voice]),
            self._last[voice].copy(),
            self._pending[voice].copy(),
            self._network.save(voice),
        )

    def go_on(self, voice: int, kept: Continuation) -> None:
        """Let `voice`, whose rings hold the frames before, go on as it was kept."""
        self.made[voice], self.taken[voice] = kept.ready, kept.fed
        self.held_frames[voice] = 0
        self._last[voice] = kept.last
        self._pending[voice] = kept.pending
        self._pending_hz[voice] = np.full(len(kept.pending), np.nan, dtype=np.float32)
        self._network.restore(voice, kept.network)

    def rewind(self, voice: int, kept: Continuation) -> None:
        """Go back to an earlier frame of `voice`: the frames from there on will be made anew, and its latents pushed.

        `ready` stays: who sounds the voice goes on with the frames as they were until each has been replaced. A window
        that sounds then is filtered by the old frame up to some block and by the new one from there: windows overlap,
        so nothing steps. Some frames that have sounded may be among those replaced.
        """
        self._last[voice] = kept.last
        self._pending[voice] = self._pending[voice][:0]
        self._pending_hz[voice] = self._pending_hz[voice][:0]
        self._network.restore(voice, kept.network)
        self.taken[voice], self.made[voice] = kept.fed, kept.ready

    def save(self, voice: int, first: int) -> FramesState:
        """A copy of `voice` from frame `first` on, the first one that is still needed."""
        first = max(first, 0, int(self.taken[voice]) - RING_FRAMES)
        places = np.arange(first, int(self.taken[voice])) % RING_FRAMES
        return FramesState(
            first, int(self.made[voice]), int(self.taken[voice]), int(self.held_frames[voice]), int(self.seeds[voice]),
            float(self.drifts[voice]), float(self.latest_hz[voice]), tuple(ring[voice, places] for ring in self.rings),
            np.concatenate([self._pending[voice], self._last[voice][None]]), self._pending_hz[voice].copy(),
            self._network.save(voice),
        )  # fmt: skip

    def restore(self, voice: int, state: FramesState) -> None:
        """Let `voice` be what was saved."""
        places = np.arange(state.first, state.fed) % RING_FRAMES
        for ring, kept in zip(self.rings, state.rings, strict=True):
            ring[voice] = 0
            ring[voice, places] = kept
        self.ready[voice], self.fed[voice], self.held_frames[voice] = state.ready, state.fed, state.held
        self.made[voice], self.taken[voice] = state.ready, state.fed
        self.seeds[voice], self.drifts[voice], self.latest_hz[voice] = state.seed, state.drift, state.latest_hz
        self._pending[voice], self._last[voice] = state.pending[:-1], state.pending[-1]
        self._pending_hz[voice] = state.pending_hz
        self._network.restore(voice, state.network)
