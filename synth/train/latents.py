"""The corpus as latents, encoded once, so that training the denoiser touches no audio."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth.codec.model import Codec
from synth.corpus.dataset import ClipStore
from synth.spec.audio import HOP_SAMPLES
from synth.train.codec import encoder_features, explicit_latents

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
_PAD_FRAMES = 16  # silence encoded around every clip; also what the encoder's receptive field needs
_GAIN_RANGE_DB = 8.0


@torch.no_grad()
def encode(codec: Codec, arrays: Arrays) -> NDArray[np.float32]:
    """Excerpts to raw latents -> [B, n_frames, latent_dim] (learned channels, then explicit ones)."""
    learned = codec.encoder(torch.from_numpy(arrays["audio"]), torch.from_numpy(encoder_features(arrays))).float()
    return np.concatenate([learned.numpy(), explicit_latents(arrays).transpose(0, 2, 1)], axis=-1)


class LatentStore:
    """Latents of every clip of a ClipStore, each at its own level and at one random other level."""

    def __init__(self, store: ClipStore, codec: Codec, seed: int = 0) -> None:
        self.store = store
        rng = np.random.default_rng(seed)
        n_clips = len(store.records)
        self._gains_db = np.zeros((2, n_clips), dtype=np.float32)
        self._latents: list[list[NDArray[np.float16]]] = [[], []]
        for clip in range(n_clips):
            for variant, gain_db in enumerate((0.0, float(rng.uniform(-_GAIN_RANGE_DB, _GAIN_RANGE_DB)))):
                arrays = self._whole(clip, gain_db)
                self._gains_db[variant, clip] = arrays["gain_db"][0]
                self._latents[variant].append(encode(codec, arrays)[0].astype(np.float16))
            if (clip + 1) % 200 == 0:
                log.info("encoded %d of %d clips", clip + 1, n_clips)
        silence = self._whole(0, 0.0)
        silence = {name: values[:, :1].repeat(64, axis=1) for name, values in silence.items() if values.ndim > 1}
        silence["audio"] = np.zeros((1, 64 * HOP_SAMPLES), dtype=np.float32)
        self._silence = encode(codec, silence)[0, 32]

    def _whole(self, clip: int, gain_db: float) -> Arrays:
        n_frames = self.store.n_frames(clip) + 2 * _PAD_FRAMES
        return self.store.excerpts(np.array([clip]), np.array([-_PAD_FRAMES]), n_frames, np.array([gain_db]))

    def random_excerpts(
        self, rng: np.random.Generator, n: int, n_frames: int, *, real_fraction: float
    ) -> tuple[NDArray[np.float32], Arrays]:
        """Latents [n, n_frames, latent_dim] and the features of the same frames, as ClipStore.random_excerpts."""
        arrays = self.store.random_excerpts(
            rng, n, n_frames, real_fraction=real_fraction, augment_db=0.0, with_audio=False
        )
        latents = np.tile(self._silence, (n, n_frames, 1)).astype(np.float32)
        variants = rng.integers(0, 2, n)
        for index, (clip, start, variant) in enumerate(
            zip(arrays["clip"], arrays["start_frame"], variants, strict=True)
        ):
            encoded = self._latents[variant][clip]
            first = start + _PAD_FRAMES
            low, high = max(first, 0), min(first + n_frames, len(encoded))
            latents[index, low - first : high - first] = encoded[low:high]
        gains_db = self._gains_db[variants, arrays["clip"]]
        arrays["lane.loudness"] = np.clip(arrays["lane.loudness"] + gains_db[:, None], -60.0, -9.0)
        return latents, arrays
