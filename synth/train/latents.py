"""The corpus as latents and frame features, resident on the training device, so that a batch touches no audio."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from synth.atomic import write_atomically
from synth.codec.model import Codec
from synth.corpus.clip_file import INT16_SCALE
from synth.corpus.dataset import C0_PER_DB, FLOOR_DB, PEAK_LIMIT, ClipStore
from synth.spec.audio import HOP_SAMPLES
from synth.spec.lanes import lane
from synth.train.codec import encoder_features, explicit_latents
from synth.train.conditions import LANES
from synth.train.device_store import excerpt_starts

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
KEPT_LATENTS = "latents"  # in a corpus's folder
_PAD_FRAMES = 24  # silence encoded around every clip; also what the encoder's receptive field needs
_GAIN_RANGE_DB = 8.0
_CHUNK_FRAMES = 8_192
_LOUDNESS = lane("loudness")
FEATURES = (*(f"lane.{name}" for name in LANES), "f0_hz", "voiced")


@torch.no_grad()
def encode(codec: Codec, arrays: Arrays) -> NDArray[np.float32]:
    """Excerpts to raw latents -> [B, n_frames, latent_dim] (learned channels, then explicit ones)."""
    device = next(codec.parameters()).device
    audio = torch.from_numpy(arrays["audio"]).to(device)
    learned = codec.encoder(audio, torch.from_numpy(encoder_features(arrays)).to(device)).float().cpu()
    return np.concatenate([learned.numpy(), explicit_latents(arrays).transpose(0, 2, 1)], axis=-1)


def _content_key(store: ClipStore, codec: Codec, gains_db: NDArray[np.float64]) -> str:
    """Changes with whatever changes latents: the clips' sound and labels, the codec's weights, the gains."""
    digest = hashlib.sha256(store.fingerprint())
    for name, weight in sorted(codec.state_dict().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    digest.update(np.ascontiguousarray(gains_db).tobytes())
    return digest.hexdigest()[:32]


def _keep(path: Path, encoded: tuple[Tensor, Tensor]) -> None:
    """Write latents and gains; a disk that has no room is told, and nothing is kept."""
    latents, gains_db = (tensor.cpu().contiguous() for tensor in encoded)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({"latents": latents, "gains_db": gains_db}))
    except OSError as fault:
        log.warning("latents are not kept: %s", fault)


def _read(path: Path) -> tuple[Tensor, Tensor] | None:
    """What `_keep` wrote; None where there is none, or none that can be read."""
    try:
        with safe_open(path, framework="pt") as stored:
            return stored.get_tensor("latents"), stored.get_tensor("gains_db")
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as fault:
        log.warning("%s cannot be read (%s): encoding again", path.name, fault)
        return None


def _drawn_gains_db(seed: int, n_variants: int, n_clips: int) -> NDArray[np.float64]:
    gains_db = np.random.default_rng(seed).uniform(-_GAIN_RANGE_DB, _GAIN_RANGE_DB, (n_variants, n_clips))
    gains_db[0] = 0.0
    return gains_db


class LatentStore:
    """Latents of every clip of a ClipStore, each at its own level and at `n_variants` - 1 random other levels.

    Excerpts may begin before a clip and end after it: silence lies there, and lanes of timbre and pitch are held.

    kept_in   folder where latents are kept, so that the next training of the same clips with the same codec need not
              encode them again; None: nowhere
    """

    def __init__(
        self, store: ClipStore, codec: Codec, *, n_variants: int = 2, seed: int = 0, kept_in: Path | None = None
    ) -> None:
        self.store = store
        self.device = next(codec.parameters()).device
        lengths = np.array([store.n_frames(clip) for clip in range(len(store.records))])
        self._length = torch.from_numpy(lengths).to(self.device)
        self._first = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths + 2 * _PAD_FRAMES)[:-1]])).to(self.device)
        self._features = {name: self._frames(name, lengths) for name in (*FEATURES, "mfcc")}
        self._clip_mfcc = self._clip_means(lengths)
        technique = store.excerpts(np.arange(len(lengths)), np.zeros(len(lengths), np.int64), 1, np.zeros(len(lengths)))
        self._technique = torch.from_numpy(technique["technique"]).to(self.device)
        self._is_real = torch.from_numpy(technique["is_real"]).to(self.device)
        gains_db = _drawn_gains_db(seed, n_variants, len(lengths))
        kept = kept_in / f"{_content_key(store, codec, gains_db)}.safetensors" if kept_in else None
        encoded = _read(kept) if kept else None
        if encoded is None:
            encoded = self._encode_all(codec, gains_db)
            if kept:
                _keep(kept, encoded)
        self._latents, self._gains_db = (tensor.to(self.device) for tensor in encoded)
        self._chances: dict[tuple[float, float], Tensor] = {}

    @property
    def silence(self) -> NDArray[np.float32]:
        """Raw latents of digital silence, [latent_dim]: the padding before the first clip, where no clip is seen."""
        return self._latents[0, 2 : _PAD_FRAMES - 8].float().mean(0).cpu().numpy()

    def keep_part(self, part: ClipStore, codec: Codec, kept_in: Path, *, seed: int = 0) -> Path:
        """Keep the latents of `part`, some of these clips, where a LatentStore of them alone will look for its own.

        The levels are those they were encoded at here. codec, seed: as this store was made with. KeyError for a clip
        that is not here.
        """
        place = {(record.id, record.sha256): clip for clip, record in enumerate(self.store.records)}
        chosen = [place[record.id, record.sha256] for record in part.records]
        first, end = self._first.tolist(), (self._first + self._length + 2 * _PAD_FRAMES).tolist()
        rows = torch.cat([torch.arange(first[clip], end[clip], device=self.device) for clip in chosen])
        drawn = _drawn_gains_db(seed, len(self._latents), len(chosen))
        path = kept_in / f"{_content_key(part, codec, drawn)}.safetensors"
        _keep(path, (self._latents[:, rows], self._gains_db[:, chosen]))
        return path

    def _padded(self) -> Iterator[tuple[slice, Arrays]]:
        """Whole clips with their padding, a few at a time: (slice of the padded frames, arrays [1, frames])."""
        first = 0
        for clip in range(len(self.store.records)):
            n_frames = self.store.n_frames(clip) + 2 * _PAD_FRAMES
            arrays = self.store.excerpts(np.array([clip]), np.array([-_PAD_FRAMES]), n_frames, np.zeros(1))
            yield slice(first, first + n_frames), arrays
            first += n_frames

    def _frames(self, name: str, lengths: NDArray[np.int64]) -> Tensor:
        """One feature over all padded frames, on the device."""
        n_clips = len(lengths)
        padded = lengths + 2 * _PAD_FRAMES
        clips = np.repeat(np.arange(n_clips), padded)
        first = np.cumsum(padded) - padded
        within = np.arange(int(padded.sum())) - np.repeat(first, padded) - _PAD_FRAMES
        values = self.store.frames(name, clips, within)
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def _clip_means(self, lengths: NDArray[np.int64]) -> Tensor:
        """Mean cepstra of every clip where somebody sings, [n_clips, cepstra]; NaN where nobody does."""
        clip = torch.repeat_interleave(torch.from_numpy(lengths + 2 * _PAD_FRAMES).to(self.device))
        cepstra = self._features["mfcc"]
        sung = (torch.nan_to_num(self._features["lane.presence"]) > 0.5).float()[:, None]
        total = cepstra.new_zeros((len(lengths), cepstra.shape[1])).index_add_(0, clip, cepstra * sung)
        count = cepstra.new_zeros((len(lengths), 1)).index_add_(0, clip, sung)
        return total / count  # 0 / 0 is NaN

    @torch.no_grad()
    def _encode_all(self, codec: Codec, gains_db: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Latents float16 [n_variants, padded frames, latent_dim] and the gains applied [n_variants, n_clips]."""
        n_variants, n_clips = gains_db.shape
        dim = codec.config.latent_dim
        total = int(self._length.sum()) + 2 * _PAD_FRAMES * n_clips
        latents = torch.empty((n_variants, total, dim), dtype=torch.float16, device=self.device)
        applied = np.zeros((n_variants, n_clips), dtype=np.float32)
        waiting: list[tuple[slice, Arrays, int]] = []
        for clip, (span, arrays) in enumerate(self._padded()):
            peak = float(np.abs(arrays["audio"]).max(initial=1.0 / INT16_SCALE))
            applied[:, clip] = np.minimum(gains_db[:, clip], max(20.0 * np.log10(PEAK_LIMIT / peak), 0.0))
            waiting.append((span, arrays, clip))
            if waiting[-1][0].stop - waiting[0][0].start >= _CHUNK_FRAMES or clip == n_clips - 1:
                self._encode_clips(codec, waiting, applied, latents)
                waiting = []
        return latents, torch.from_numpy(applied).to(self.device)

    def _encode_clips(
        self, codec: Codec, waiting: list[tuple[slice, Arrays, int]], gains_db: NDArray[np.float32], latents: Tensor
    ) -> None:
        """Encode clips laid end to end; the padding between them is longer than the encoder sees."""
        audio = torch.from_numpy(np.concatenate([arrays["audio"][0] for _, arrays, _ in waiting])).to(self.device)
        rows = np.concatenate([np.full(span.stop - span.start, clip) for span, _, clip in waiting])
        names = {name for name in waiting[0][1] if name.startswith(("phys.", "lane.")) or name in ("f0_hz", "voiced")}
        joined = {name: np.concatenate([arrays[name][0] for _, arrays, _ in waiting])[None] for name in names}
        explicit = torch.from_numpy(explicit_latents(joined)[0].T.copy()).to(self.device)
        span = slice(waiting[0][0].start, waiting[-1][0].stop)
        for variant, clip_gains_db in enumerate(gains_db):
            frame_gain_db = clip_gains_db[rows]
            # Silence is as silent at any gain, and has been so to the encoder in its training.
            level_db = joined["phys.loudness_db"]
            louder = joined | {"phys.loudness_db": level_db + np.where(level_db > FLOOR_DB, frame_gain_db, 0.0)}
            features = torch.from_numpy(encoder_features(louder)).to(self.device)
            gain = torch.from_numpy((10.0 ** (frame_gain_db / 20.0)).astype(np.float32)).to(self.device)
            scaled = audio * gain.repeat_interleave(HOP_SAMPLES)
            learned = codec.encoder(scaled[None], features)[0].float()
            latents[variant, span] = torch.cat([learned, explicit], dim=-1).half()

    def random_excerpts(
        self, generator: torch.Generator, n: int, n_frames: int, *, real_fraction: float, balance: float = 0.5
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Latents [n, n_frames, latent_dim] and features of the same frames, a function of the generator's state.

        Features: every name of FEATURES [n, n_frames], "mfcc" [n, n_frames, 17], "clip_mfcc" [n, 17], "technique"
        [n, 8], "is_real" [n], "inside" [n, n_frames].
        """
        chance = self._chances.get((real_fraction, balance))
        if chance is None:
            chance = torch.from_numpy(self.store.chances(real_fraction, balance)).float().to(self.device)
            self._chances[real_fraction, balance] = chance
        device = self.device
        clip = torch.multinomial(chance, n, replacement=True, generator=generator)
        variant = torch.randint(len(self._latents), (n,), generator=generator, device=device)
        start = excerpt_starts(self._length[clip], n_frames, torch.rand(n, generator=generator, device=device))
        within = start[:, None] + torch.arange(n_frames, device=device)
        length = self._length[clip][:, None]
        # Beyond the padding lies the same silence as at its ends.
        padded = within.clamp(min=-_PAD_FRAMES).minimum(length + _PAD_FRAMES - 1) + _PAD_FRAMES
        row = self._first[clip][:, None] + padded
        features = {name: values[row] for name, values in self._features.items()}
        gain_db = self._gains_db[variant, clip][:, None]
        features["lane.loudness"] = (features["lane.loudness"] + gain_db).clamp(_LOUDNESS.minimum, _LOUDNESS.maximum)
        features["mfcc"][..., 0] += gain_db * C0_PER_DB
        features |= {"technique": self._technique[clip], "is_real": self._is_real[clip]}
        features["clip_mfcc"] = self._clip_mfcc[clip]
        features["inside"] = (within >= 0) & (within < length)
        return self._latents[variant[:, None], row].float(), features
