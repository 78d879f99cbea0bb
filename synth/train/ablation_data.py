"""What an ablation's runs share: windows of latents with their conditions, encoded once, in one file.

Every run draws its batches from the same windows, so that runs of one seed see the same data in the same order.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from synth.atomic import write_atomically
from synth.codec.model import Codec
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import ClipRecord, Corpus, unit_hash
from synth.diffusion.conditioning import TIMBRE_DIM, TimbreScale
from synth.spec.audio import WINDOW_FRAMES
from synth.train.conditions import condition_tensor, drawn_lanes, drawn_timbre
from synth.train.latents import LatentStore

log = logging.getLogger(__name__)

_REAL_FRACTION = 0.5
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of T frames.

    latents [n, T, latent_dim] scaled to unit variance; condition [n, T, CONDITION_DIM], nothing dropped;
    f0_hz [n, T]; sung [n, T], 1 where somebody sings
    """

    latents: Tensor
    condition: Tensor
    f0_hz: Tensor
    sung: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def at(self, rows: Tensor | slice) -> Windows:
        """Some of them, in single precision."""
        return Windows(*[getattr(self, name)[rows].float() for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class Material:
    """Training windows, validation windows that are sung again, other validation windows to compare with, and what
    scales the codec's latents [latent_dim]."""

    train: Windows
    asked: Windows
    reference: Windows
    mean: Tensor
    std: Tensor
    notes: dict[str, Any]


def study_key(*parts: Any) -> str:
    """A short name of what a file was made from: files of another corpus or codec are never taken for it."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def chosen_part(corpus: Corpus, minutes: float) -> Corpus:
    """About `minutes` of the training split, half of it recorded where there is as much, drawn by the clips' names; the
    other splits whole."""
    train = sorted(corpus.split("train"), key=lambda record: unit_hash(record.id))
    kept: list[ClipRecord] = []
    for kind in ("real", "simulated"):
        left_s = 30.0 * minutes
        for record in train:
            if record.kind == kind and left_s > 0.0:
                kept.append(record)
                left_s -= record.duration_s
    return Corpus(corpus.folder, [*kept, *corpus.split("validation"), *corpus.split("test")])


@torch.no_grad()
def prepare(
    corpus: Corpus, codec: Codec, path: Path, *, n_train: int, n_asked: int, n_frames: int = WINDOW_FRAMES
) -> None:
    """Encode and measure once; leaves a file that `load` reads. `codec` is on the device that shall do it."""
    store = LatentStore(ClipStore(corpus, "train"), codec, n_variants=1)
    generator = torch.Generator(device=store.device).manual_seed(11)
    latents, features = store.random_excerpts(generator, _CHUNK * 2, WINDOW_FRAMES, real_fraction=_REAL_FRACTION)
    sung = torch.nan_to_num(features["lane.presence"]) > 0.5
    mean, std = latents[sung].mean(0), latents[sung].std(0) + 1e-3
    cepstra = features["mfcc"][..., 1 : TIMBRE_DIM + 1][sung]
    scale = TimbreScale(tuple(cepstra.mean(0).tolist()), tuple((cepstra.std(0) + 1e-3).tolist()))
    held_out = LatentStore(ClipStore(corpus, "validation"), codec, n_variants=1)
    tensors = {"mean": mean, "std": std}
    wanted = {"train": (store, n_train), "asked": (held_out, n_asked), "reference": (held_out, n_asked)}
    for name, (source, count) in wanted.items():
        windows = _draw(source, generator, (count, n_frames), scale, mean, std)
        parts = {"latents": windows.latents.half(), "condition": windows.condition.half()}
        parts |= {"f0_hz": windows.f0_hz, "sung": windows.sung.half()}
        tensors |= {f"{name}.{part}": value for part, value in parts.items()}
    notes: dict[str, float] = {"train_windows": n_train, "asked_windows": n_asked, "window_frames": n_frames}
    notes["train_minutes"] = round(store.store.duration_s / 60, 1)
    contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(contiguous, {"notes": json.dumps(notes)}))
    log.info("%d windows for training and twice %d to judge by", n_train, n_asked)


def _draw(
    store: LatentStore, generator: torch.Generator, size: tuple[int, int], scale: TimbreScale, mean: Tensor, std: Tensor
) -> Windows:
    count, n_frames = size
    parts: list[Windows] = []
    for first in range(0, count, _CHUNK):
        n = min(_CHUNK, count - first)
        latents, features = store.random_excerpts(generator, n, n_frames, real_fraction=_REAL_FRACTION)
        technique = features["technique"][:, None].expand(-1, n_frames, -1)
        lanes, timbre = drawn_lanes(features, generator), drawn_timbre(features, generator)
        condition = condition_tensor(lanes, timbre, technique, scale)
        sung = (torch.nan_to_num(features["lane.presence"]) > 0.5).float()
        parts.append(Windows((latents - mean) / std, condition, features["f0_hz"], sung))
    joined = [torch.cat([getattr(part, name) for part in parts]) for name in Windows.__slots__]
    return Windows(*joined)


def load(path: Path, device: torch.device | str, n_asked: int | None = None) -> Material:
    """What `prepare` left, on `device`; of the windows that are sung again only the first `n_asked`."""
    with safe_open(path, framework="pt") as file:
        notes = json.loads((file.metadata() or {})["notes"])
        tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118 (not a dict)
    train, asked, reference = (
        Windows(*[tensors[f"{part}.{name}"] for name in Windows.__slots__]) for part in ("train", "asked", "reference")
    )
    asked = Windows(*[getattr(asked, name)[:n_asked] for name in Windows.__slots__])
    notes["asked_windows"] = len(asked)
    return Material(train, asked, reference, tensors["mean"].float(), tensors["std"].float(), notes)
