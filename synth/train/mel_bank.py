"""A split of the corpus as log-mel frames: what the self-supervised encoder is trained on and judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from synth.atomic import write_atomically
from synth.corpus.dataset import ClipStore
from synth.spec import TECHNIQUES
from synth.ssl.log_mel import NEPERS_PER_UNIT, SILENCE, LogMel

_GAIN_RANGE_DB = 6.0
_TILT_RANGE_DB = 4.0
_DB_PER_UNIT = 10.0 / np.log(10.0) * NEPERS_PER_UNIT


class MelBank:
    """Log-mel frames of every clip, one after the other, half precision: about 13 kB a second."""

    def __init__(
        self, frames: Tensor, lengths: NDArray[np.int64], is_real: NDArray[np.bool_], technique: NDArray[np.int64]
    ) -> None:
        self.frames, self.lengths, self.is_real, self.technique = frames, lengths, is_real, technique
        self._first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self._chance = self._balanced()

    @classmethod
    def of_store(cls, store: ClipStore, device: torch.device | str = "cpu") -> MelBank:
        """Measure every clip; the frames stay on `device`."""
        front = LogMel().to(device)
        lengths = np.array([store.n_frames(clip) for clip in range(len(store.records))])
        frames = []
        for clip, length in enumerate(lengths):
            whole = store.excerpts(np.array([clip]), np.array([0]), int(length), np.array([0.0]))
            frames.append(front(torch.from_numpy(whole["audio"]).to(device))[0].half())
        is_real = np.array([record.kind == "real" for record in store.records])
        weights = [[record.technique.get(name, 0.0) for name in TECHNIQUES] for record in store.records]
        return cls(torch.cat(frames), lengths, is_real, np.array(weights).argmax(1))

    def save(self, path: Path) -> None:
        """For other processes."""
        arrays = {"lengths": self.lengths, "is_real": self.is_real, "technique": self.technique}
        tensors = {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}
        write_atomically(path, save(tensors | {"frames": self.frames.cpu().contiguous()}))

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> MelBank:
        """What `save` wrote."""
        stored = load_file(path)
        arrays = (stored[name].numpy() for name in ("lengths", "is_real", "technique"))
        return cls(stored["frames"].to(device), *arrays)

    def _balanced(self) -> NDArray[np.float64]:
        """Half of what is drawn is recorded, where there is any; within a kind by duration."""
        chance = np.zeros(len(self.lengths))
        for kind in (self.is_real, ~self.is_real):
            if kind.any():
                chance[kind] = self.lengths[kind] / self.lengths[kind].sum()
        return chance / chance.sum()

    def sample(self, rng: np.random.Generator, n: int, n_frames: int) -> Tensor:
        """Excerpts at random levels and colours, a function of `rng` -> [n, n_frames, N_BANDS]. Short clips repeat."""
        clips = rng.choice(len(self.lengths), n, p=self._chance)
        starts = rng.integers(0, np.maximum(self.lengths[clips] - n_frames, 0) + 1)
        index = (starts[:, None] + np.arange(n_frames)) % self.lengths[clips][:, None]
        rows = torch.from_numpy(self._first[clips][:, None] + index).to(self.frames.device)
        mel = self.frames[rows].float()
        level = rng.uniform(-_GAIN_RANGE_DB, _GAIN_RANGE_DB, (n, 1))
        tilt = rng.uniform(-_TILT_RANGE_DB, _TILT_RANGE_DB, (n, 1)) * np.linspace(-1, 1, mel.shape[-1])
        colour = torch.from_numpy((level + tilt) / _DB_PER_UNIT).float().to(mel.device)
        return (mel + colour[:, None]).clamp(min=SILENCE)

    def clip(self, index: int, longest_frames: int = 1_000) -> Tensor:
        """The beginning of one clip -> [1, n_frames, N_BANDS]."""
        first = self._first[index]
        return self.frames[first : first + min(self.lengths[index], longest_frames)].float()[None]
