"""A whole split on the device: audio, every frame feature and ready-made excitations.

Drawing a batch is a few gathers on the device and one small random draw, a function of (seed, step) alone: no Python
over excerpts, no copy from the host. Excerpts are drawn as ClipStore.random_excerpts draws them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.codec.excitation import ExcitationFrames
from synth.codec.layout import EXPLICIT
from synth.corpus.clip_file import INT16_SCALE
from synth.corpus.dataset import AUGMENT_RANGE_DB, C0_PER_DB, FLOOR_DB, LEVEL_KEYS, PEAK_LIMIT, ClipStore
from synth.corpus.weighting import draw_chances
from synth.spec.audio import HOP_SAMPLES
from synth.spec.lanes import TECHNIQUES, lane
from synth.train.clip_excitation import GAINS_PER_FRAME, GATE_SCALE, all_excitations
from synth.train.codec_inputs import excitation_frames, explicit_latents

log = logging.getLogger(__name__)

Excerpts = dict[str, Tensor]

PAD_FRAMES: Final = 16  # silence kept at both ends of every clip
_MFCC = "mfcc"
_NOT_FRAMES: Final = ("audio", "technique", "is_real", "inside", "clip", "start_frame", "gain_db")


class DeviceStore:
    """One split of a corpus on `device`.

    n_realisations  how many draws of jitter and false folds are kept of every clip; 0: no excitations at all
    n_workers       processes that make them; 0: this one
    """

    def __init__(
        self,
        store: ClipStore,
        device: torch.device | str,
        *,
        seed: int = 0,
        n_realisations: int = 2,
        n_workers: int = 0,
    ) -> None:
        self.device, self.seed = torch.device(device), seed
        self.records = store.records
        n_frames = np.array([store.n_frames(clip) for clip in range(len(store.records))])
        first_row = np.concatenate([[0], np.cumsum(n_frames + 2 * PAD_FRAMES)])
        self.n_rows = int(first_row[-1])
        self._cumulative_chances: dict[tuple[float, float], Tensor] = {}
        audio = torch.zeros((self.n_rows, HOP_SAMPLES), dtype=torch.int16)
        self._columns: dict[str, int | slice] = {}
        features = torch.zeros(0)
        sources: list[ExcitationFrames] = []
        for clip, arrays in enumerate(_whole_clips(store, n_frames)):
            rows = slice(int(first_row[clip]), int(first_row[clip + 1]))
            audio[rows] = torch.from_numpy(
                np.rint(arrays["audio"][0] * INT16_SCALE).astype(np.int16).reshape(-1, HOP_SAMPLES)
            )
            if clip == 0:
                self._columns, n_columns = _layout(arrays)
                features = torch.empty((self.n_rows, n_columns))
            features[rows] = _packed(arrays, self._columns, features.shape[1])
            sources.append(_source_frames(arrays))
        self._audio, self._features = audio.to(self.device), features.to(self.device)
        self._first_row = torch.from_numpy(first_row[:-1]).to(self.device)
        self._n_frames = torch.from_numpy(n_frames).to(self.device)
        technique = [[record.technique.get(name, 0.0) for name in TECHNIQUES] for record in store.records]
        self._technique = torch.tensor(technique, dtype=torch.float32, device=self.device)
        self._is_real = torch.tensor([record.kind == "real" for record in store.records], device=self.device)
        self._pulses = self._gain = self._gate = torch.zeros(0)
        if n_realisations:
            self._keep_excitations(sources, first_row, n_realisations, n_workers)

    def _keep_excitations(
        self, sources: list[ExcitationFrames], first_row: NDArray[np.int64], n_realisations: int, n_workers: int
    ) -> None:
        pulses = torch.empty((n_realisations, self.n_rows, HOP_SAMPLES), dtype=torch.float16)
        gain = torch.empty((n_realisations, self.n_rows, GAINS_PER_FRAME), dtype=torch.float16)
        gate = torch.empty((self.n_rows, HOP_SAMPLES), dtype=torch.int8)
        seeds = np.random.default_rng(self.seed).integers(2**31, size=(len(sources), n_realisations))
        jobs = [(frames, tuple(int(s) for s in own)) for frames, own in zip(sources, seeds, strict=True)]
        for clip, made in enumerate(all_excitations(jobs, n_workers)):
            rows = slice(int(first_row[clip]), int(first_row[clip + 1]))
            pulses[:, rows] = torch.from_numpy(made.pulses)
            gain[:, rows] = torch.from_numpy(made.gain)
            gate[rows] = torch.from_numpy(made.gate)
        self._pulses, self._gain, self._gate = (part.to(self.device) for part in (pulses, gain, gate))

    @property
    def n_bytes(self) -> int:
        """Memory held on the device."""
        kept = [self._audio, self._features, self._pulses, self._gain, self._gate]
        return sum(part.numel() * part.element_size() for part in kept)

    def generator(self, step: int) -> torch.Generator:
        """What decides the batch of a step."""
        mixed = np.random.SeedSequence((self.seed, step)).generate_state(1, np.uint64)[0]
        return torch.Generator(self.device).manual_seed(int(mixed >> np.uint64(1)))

    def random_excerpts(
        self,
        step: int,
        n: int,
        n_frames: int,
        *,
        real_fraction: float = 0.5,
        balance: float = 0.5,
        augment_db: float = AUGMENT_RANGE_DB,
        with_audio: bool = True,
        with_excitation: bool = False,
    ) -> Excerpts:
        """`n` excerpts of `n_frames`, a function of (seed, step) and the arguments: ClipStore.random_excerpts's names.

        with_audio       "audio" [n, n_frames * HOP_SAMPLES]
        with_excitation  "excitation" [n, 3, n_frames * HOP_SAMPLES] with fresh noise, as the decoder takes it
        """
        generator = self.generator(step)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=self.device)

        cumulative = self._cumulative(real_fraction, balance)
        clips = torch.searchsorted(cumulative, uniform(n).double()).clamp(max=len(self.records) - 1)
        starts = excerpt_starts(self._n_frames[clips], n_frames, uniform(n))
        gains_db = (2.0 * uniform(n) - 1.0) * augment_db
        excerpts = self.excerpts(clips, starts, n_frames, gains_db, with_audio=with_audio)
        if with_excitation:
            excerpts["excitation"] = self._excitation(self._rows(clips, starts, n_frames), generator)
        return excerpts

    def excerpts(
        self, clips: Tensor, starts: Tensor, n_frames: int, gains_db: Tensor, *, with_audio: bool = True
    ) -> Excerpts:
        """The excerpts asked for: clips, starts (frames of the clip) and gains [n] on the device."""
        index = starts[:, None] + torch.arange(n_frames, device=self.device)
        inside = (index >= 0) & (index < self._n_frames[clips][:, None])
        rows = self._rows(clips, starts, n_frames)
        packed = self._features[rows]
        result = {name: packed[..., column] for name, column in self._columns.items()}
        result["voiced"] = result["voiced"] > 0.5
        if with_audio:
            audio = self._audio[rows].flatten(1).float() / INT16_SCALE
            peak = audio.abs().amax(dim=1).clamp(min=1e-6)
            headroom_db = (20.0 * torch.log10(PEAK_LIMIT / peak)).clamp(min=0.0)
            gains_db = torch.minimum(gains_db, headroom_db)
            result["audio"] = audio * 10.0 ** (gains_db / 20.0)[:, None]
        _apply_gain(result, gains_db)
        return result | {
            "technique": self._technique[clips],
            "is_real": self._is_real[clips],
            "inside": inside,
            "clip": clips,
            "start_frame": starts,
            "gain_db": gains_db,
        }

    def _rows(self, clips: Tensor, starts: Tensor, n_frames: int) -> Tensor:
        """Rows of the excerpts [n, n_frames]; beyond the padding of a clip the last row of it is held."""
        index = starts[:, None] + torch.arange(n_frames, device=self.device)
        held = torch.minimum(index.clamp(min=-PAD_FRAMES), self._n_frames[clips][:, None] + PAD_FRAMES - 1)
        return self._first_row[clips][:, None] + PAD_FRAMES + held

    def _excitation(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        n = len(rows)
        drawn = torch.rand(n, generator=generator, device=self.device)
        realisation = (drawn * len(self._pulses)).long()[:, None]
        pulses = self._pulses[realisation, rows].flatten(1).float()
        gain = self._gain[realisation, rows].float().repeat_interleave(HOP_SAMPLES // GAINS_PER_FRAME, dim=-1)
        noise = torch.randn(pulses.shape, generator=generator, device=self.device) * gain.flatten(1)
        gate = self._gate[rows].flatten(1).float() / GATE_SCALE
        return torch.stack([pulses, noise, noise * gate], dim=1)

    def _cumulative(self, real_fraction: float, balance: float) -> Tensor:
        key = (real_fraction, balance)
        if key not in self._cumulative_chances:
            chances = torch.from_numpy(np.cumsum(draw_chances(self.records, *key)))
            self._cumulative_chances[key] = chances.to(self.device)
        return self._cumulative_chances[key]


def excerpt_starts(lengths: Tensor, n_frames: int, uniform: Tensor) -> Tensor:
    """First frames [n] of excerpts of clips of `lengths` [n], from `uniform` [n] in 0..1; as ClipStore draws them.

    Excerpts may begin before a clip or end after it, by an eighth or as much as a short clip needs.
    """
    spare, slack = lengths - n_frames, max(n_frames // 8, 1)
    earliest, latest = spare.clamp(max=0) - slack, spare.clamp(min=0) + slack
    return earliest + (uniform * (latest - earliest + 1)).long()


def _whole_clips(store: ClipStore, n_frames: NDArray[np.int64]) -> Iterator[dict[str, NDArray[Any]]]:
    """Every clip with PAD_FRAMES of silence at both ends, at its own level."""
    for clip, length in enumerate(n_frames):
        yield store.excerpts(
            np.array([clip]), np.array([-PAD_FRAMES]), int(length) + 2 * PAD_FRAMES, np.zeros(1, dtype=np.float64)
        )


def _layout(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, int | slice], int]:
    """Where each frame feature lies in a packed row: a column, or several."""
    columns: dict[str, int | slice] = {}
    n = 0
    for name in sorted(set(arrays) - set(_NOT_FRAMES)):
        width = arrays[name].shape[2] if arrays[name].ndim == 3 else 1
        columns[name] = slice(n, n + width) if arrays[name].ndim == 3 else n
        n += width
    return columns, n


def _packed(arrays: Mapping[str, NDArray[Any]], columns: Mapping[str, int | slice], n_columns: int) -> Tensor:
    packed = np.empty((arrays["f0_hz"].shape[1], n_columns), dtype=np.float32)
    for name, column in columns.items():
        packed[:, column] = arrays[name][0]
    return torch.from_numpy(packed)


def _source_frames(arrays: Mapping[str, NDArray[Any]]) -> ExcitationFrames:
    latents = explicit_latents({name: values[0] for name, values in arrays.items() if name not in _NOT_FRAMES})
    physical = {channel.name: channel.expand(latents[row]) for row, channel in enumerate(EXPLICIT)}
    return excitation_frames(arrays["f0_hz"][0], physical)


def _apply_gain(features: Excerpts, gain_db: Tensor) -> None:
    """Move levels as a gain [n] moves the audio; what lies at the ears' floor stays. Replaces entries."""
    step_db = torch.where(features["phys.loudness_db"] > FLOOR_DB, gain_db[:, None], 0.0)
    loudness = lane("loudness")
    for name in LEVEL_KEYS:
        if name in features:
            moved = features[name] + step_db
            features[name] = moved if name.startswith("phys.") else moved.clamp(loudness.minimum, loudness.maximum)
    if _MFCC in features:
        first = features[_MFCC][..., :1] + step_db.unsqueeze(-1) * C0_PER_DB
        features[_MFCC] = torch.cat([first, features[_MFCC][..., 1:]], dim=-1)
