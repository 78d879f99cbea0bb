"""Named embeddings of half-second excerpts: what distances between sets of sounds are taken in.

No one embedding agrees with ears (the sources of the kernel distance say so themselves), so each is named, and there is
more than one: statistics of the log-mel spectrum always, and any encoder the user gives by its path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synth.errors import UserError
from synth.evaluate.distances import Sound
from synth.evaluate.resung import excerpt_audio
from synth.spec.audio import SAMPLE_RATE_HZ

Float64Array = NDArray[np.float64]

_BANDS_POOLED = 4  # of 80 mel bands, so that 20 remain
_CONTEXT_S = 0.25  # what an encoder hears on either side of an excerpt


class Embedding(Protocol):
    """Excerpts of a sound to vectors."""

    @property
    def name(self) -> str:
        """Said beside every figure."""
        ...

    def __call__(self, sound: Sound, excerpts: Sequence[slice]) -> Float64Array:
        """Frames of each excerpt -> [n_excerpts, dim]."""
        ...


@dataclass(frozen=True, slots=True)
class LogMelStatistics:
    """Mean and standard deviation over the excerpt of 20 mel bands in dB, level removed. -> 40 numbers"""

    name: str = "log-mel statistics"

    def __call__(self, sound: Sound, excerpts: Sequence[slice]) -> Float64Array:
        bands = sound.log_mel_db.astype(np.float64).reshape(len(sound.log_mel_db), -1, _BANDS_POOLED).mean(axis=2)
        rows = []
        for frames in excerpts:
            part = bands[frames]
            rows.append(np.concatenate([part.mean(axis=0) - part.mean(), part.std(axis=0)]))
        return np.array(rows).reshape(len(excerpts), 2 * bands.shape[1])


class Encoded:
    """The time mean of a frozen encoder's output: ours (a file), or a Hugging Face one (a folder)."""

    def __init__(self, path: Path) -> None:
        from synth.ssl.encoder import SslEncoder  # torch, and only where an encoder is asked for
        from synth.ssl.hugging_face import HuggingFaceEncoder

        if not path.exists():
            raise UserError(f"There is no encoder at {path}.", remedy="Name a Hugging Face folder or our weights.")
        self._encoder = HuggingFaceEncoder.load(path) if path.is_dir() else SslEncoder.load(path)
        self.name = f"encoder {path.name}" if path.is_dir() else f"own encoder {path.name}"

    def __call__(self, sound: Sound, excerpts: Sequence[slice]) -> Float64Array:
        """The encoder hears a little around each excerpt, or it would hear mostly edges."""
        import torch

        n_context = round(_CONTEXT_S * SAMPLE_RATE_HZ)
        padded = np.pad(sound.audio, n_context)
        rows = []
        for frames in excerpts:
            n_samples = len(excerpt_audio(sound, frames))
            start = frames.start * (n_samples // (frames.stop - frames.start))
            heard = torch.from_numpy(padded[start : start + n_samples + 2 * n_context].copy())[None]
            with torch.inference_mode():
                rows.append(self._encoder.embed(heard)[0].mean(dim=0).double().numpy())
        return np.array(rows).reshape(len(excerpts), -1)


def standardised(values: Float64Array, reference: Float64Array) -> Float64Array:
    """[n, dim] in standard deviations of the reference [m, dim] around its mean."""
    return (values - reference.mean(axis=0)) / np.maximum(reference.std(axis=0), 1e-9)
