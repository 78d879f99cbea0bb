"""Takes: kept renderings beside the passage, `<passage>.takes/<sha256>.safetensors` and `.flac`, verified on loading.

A take comes back bit for bit, whatever the weights have become. FLAC holds 24 bits, so what is kept is the audio
rounded to 24 bits of its own power-of-two scale; that rounded audio is the take.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app.state.passage import Passage, Take
from app.store.atomic import make_folder, read_bytes, write_atomically
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_FULL_SCALE: Final = 2**23
_LATENTS_KEY: Final = "latents"


@dataclass(frozen=True, slots=True)
class TakeContent:
    """What a take stores: latents [latent_dim, n_frames], audio [n_samples, n_channels] at SAMPLE_RATE_HZ."""

    latents: Float32Array
    audio: Float32Array


def takes_folder(passage_path: Path) -> Path:
    """Where the takes of a passage file lie."""
    return passage_path.with_name(f"{passage_path.name}.takes")


def save_take(
    passage_path: Path,
    content: TakeContent,
    *,
    name: str,
    start_s: float,
    seed: int,
    weights: str,
    quality: str,
) -> Take:
    """Write a take's files and return what the passage remembers of it. Raises UserError."""
    if content.audio.ndim != 2 or not np.isfinite(content.audio).all() or not np.isfinite(content.latents).all():
        raise ValueError("a take needs finite latents and finite audio [n_samples, n_channels]")
    peak = float(np.abs(content.audio).max(initial=0.0))
    exponent = max(math.frexp(peak)[1], 0) if peak >= 1.0 - 1.0 / _FULL_SCALE else 0
    steps = np.rint(content.audio.astype(np.float64) * (_FULL_SCALE / 2.0**exponent))
    flac = io.BytesIO()
    # libsndfile takes the upper 24 of the 32 bits.
    soundfile.write(flac, steps.astype(np.int32) << 8, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_24")
    latents = save_tensors({_LATENTS_KEY: np.ascontiguousarray(content.latents, dtype=np.float32)})
    take = Take(
        name=name,
        start_s=start_s,
        duration_s=len(content.audio) / SAMPLE_RATE_HZ,
        seed=seed,
        weights=weights,
        quality=quality,
        latents_sha256=hashlib.sha256(latents).hexdigest(),
        audio_sha256=hashlib.sha256(flac.getvalue()).hexdigest(),
        audio_exponent=exponent,
    )
    make_folder(takes_folder(passage_path), remedy="Save elsewhere.")
    write_atomically(_latents_path(passage_path, take), latents)
    write_atomically(_audio_path(passage_path, take), flac.getvalue())
    return take


def load_take(passage_path: Path, take: Take) -> TakeContent:
    """Read and verify a take. Raises UserError where a file is missing or is not what was saved."""
    latents = _verified(_latents_path(passage_path, take), take.latents_sha256, take.name)
    flac = _verified(_audio_path(passage_path, take), take.audio_sha256, take.name)
    try:
        tensors = load_tensors(latents)
        audio, rate_hz = soundfile.read(io.BytesIO(flac), dtype="float32", always_2d=True)
    except (SafetensorError, soundfile.LibsndfileError) as fault:
        raise UserError(f"Take {take.name!r} cannot be read: {fault}.", remedy="Remove the take.") from fault
    if rate_hz != SAMPLE_RATE_HZ or _LATENTS_KEY not in tensors:
        raise UserError(f"Take {take.name!r} is not a take of this instrument.", remedy="Remove the take.")
    return TakeContent(tensors[_LATENTS_KEY], audio * np.float32(2.0**take.audio_exponent))


def missing_takes(passage_path: Path, passage: Passage) -> list[Take]:
    """Takes of the passage whose files are not there."""
    return [
        take
        for voice in passage.voices
        for take in voice.takes
        if not (_latents_path(passage_path, take).is_file() and _audio_path(passage_path, take).is_file())
    ]


def copy_takes(from_path: Path, to_path: Path, passage: Passage) -> None:
    """Bring the takes along when a passage is saved under another name. Verifies each; raises UserError."""
    if from_path == to_path:
        return
    for take in (take for voice in passage.voices for take in voice.takes):
        for place, digest in ((_latents_path, take.latents_sha256), (_audio_path, take.audio_sha256)):
            if place(to_path, take).is_file():
                continue
            content = _verified(place(from_path, take), digest, take.name)
            takes_folder(to_path).mkdir(parents=True, exist_ok=True)
            write_atomically(place(to_path, take), content)


def _latents_path(passage_path: Path, take: Take) -> Path:
    return takes_folder(passage_path) / f"{take.latents_sha256}.safetensors"


def _audio_path(passage_path: Path, take: Take) -> Path:
    return takes_folder(passage_path) / f"{take.audio_sha256}.flac"


def _verified(path: Path, digest: str, name: str) -> bytes:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"Take {name!r}: {path.name} is not the file that was saved.", remedy="Remove the take.")
    return content
