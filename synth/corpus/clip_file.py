"""One clip on disk: `clips/<id>.npz`, audio with everything measured from it and everything known about it.

Names: `audio` int16 [n_samples], `f0_hz` float32, `confidence`, `voiced`, `mfcc` [n_frames, 17], `lane.<id>` measured
lanes, `phys.<name>` estimator units, and for simulated clips `true.<id>` the exact lanes and `exc.<name>` the
excitation. Frame features are float16 but for pitch and F0, where float16 would be off by cents. NaN means that a
lane cannot be measured there. Nothing here is ever unpickled.

On disk the features of one number a frame are the rows of two tables, `float16` and `float32` [n, n_frames], whose
names stand in `rows` (JSON in bytes, as `record` is): a clip is read in a few arrays instead of sixty. `made_with`
(JSON as well) holds the revisions of what made it, so that a build knows what is out of date. Clips of earlier builds,
one array a feature and without revisions, are read as well.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.atomic import write_atomically
from synth.errors import UserError
from synth.features.f0 import F0Track
from synth.spec import Float32Array, n_frames_for

INT16_SCALE: Final = 32767.0
FLOAT16_MAX: Final = 65_000.0
_FINE_LANES: Final = frozenset({"pitch"})
_GROUPS: Final = ("lane", "phys", "true", "exc")
# A file that is no archive at all is an array or a fault of type to numpy.
_DAMAGED: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
_TABLES: Final[Mapping[str, type[np.floating[Any]]]] = {"float16": np.float16, "float32": np.float32}


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip in memory. Audio is float32 [n_samples] at 48 kHz; every frame array has n_frames_for(n_samples) rows."""

    audio: Float32Array
    lanes: Mapping[str, Float32Array]
    physical: Mapping[str, Float32Array]
    f0: F0Track
    mfcc: Float32Array  # [n_frames, 17]
    true_lanes: Mapping[str, Float32Array] = field(default_factory=dict)
    excitation: Mapping[str, Float32Array] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Frames that cover the audio."""
        return n_frames_for(len(self.audio))


def to_int16(audio: Float32Array) -> NDArray[np.int16]:
    """Full scale 1.0 -> 32767, rounded; beyond full scale is clamped."""
    return np.rint(np.clip(audio, -1.0, 1.0) * INT16_SCALE).astype(np.int16)


def to_float32(audio: NDArray[np.int16]) -> Float32Array:
    """The inverse of `to_int16`."""
    return audio.astype(np.float32) / np.float32(INT16_SCALE)


def audio_sha256(audio: NDArray[np.int16]) -> str:
    """Hash of the sound alone, so that it survives new features and finds duplicates."""
    return hashlib.sha256(np.ascontiguousarray(audio, dtype="<i2").tobytes()).hexdigest()


def write_clip(
    path: Path,
    record: Mapping[str, Any],
    audio: NDArray[np.int16],
    clip: Clip,
    made_with: Mapping[str, int] | None = None,
) -> None:
    """Write one clip. `audio` is what `clip` was measured on; `record` is its line of the manifest.

    made_with  name -> revision of what the clip depends on; see `read_made_with`
    """
    arrays: dict[str, NDArray[Any]] = {
        "f0_hz": clip.f0.f0_hz.astype(np.float32),
        "voiced": clip.f0.voiced.astype(np.bool_),
        "confidence": clip.f0.confidence.astype(np.float16),
        "mfcc": _compact(clip.mfcc),
    }
    groups = (clip.lanes, clip.physical, clip.true_lanes, clip.excitation)
    for prefix, group in zip(_GROUPS, groups, strict=True):
        for name, values in group.items():
            arrays[f"{prefix}.{name}"] = values.astype(np.float32) if name in _FINE_LANES else _compact(values)
    n_frames = n_frames_for(len(audio))
    for name, values in arrays.items():
        if len(values) != n_frames:
            raise ValueError(f"{path.stem}: {name} has {len(values)} frames, the audio has {n_frames}")
    stored: dict[str, NDArray[Any]] = {"record": _json_bytes(record), "audio": audio}
    rows: dict[str, list[str]] = {}
    for table, dtype in _TABLES.items():
        rows[table] = [name for name, values in arrays.items() if values.ndim == 1 and values.dtype == dtype]
        stored[table] = np.stack([arrays.pop(name) for name in rows[table]])
    buffer = io.BytesIO()
    made = _json_bytes(made_with or {})
    np.savez(buffer, allow_pickle=False, rows=_json_bytes(rows), made_with=made, **stored, **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(record, arrays) of a clip as stored. Raises UserError when it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        record = json.loads(arrays.pop("record").tobytes())
        arrays.pop("made_with", None)
        rows = json.loads(arrays.pop("rows").tobytes()) if "rows" in arrays else {}
        for table, names in rows.items():
            arrays |= dict(zip(names, arrays.pop(table), strict=True))
        if "audio" not in arrays:
            raise KeyError("audio")
    except _DAMAGED as fault:
        raise UserError(f"The clip {path} cannot be read.", remedy="Build the corpus again to replace it.") from fault
    return record, arrays


def read_made_with(path: Path) -> dict[str, int]:
    """The revisions a clip was made with; empty for clips of earlier builds. UserError when it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return json.loads(stored["made_with"].tobytes()) if "made_with" in stored else {}
    except _DAMAGED as fault:
        raise UserError(f"The clip {path} cannot be read.", remedy="Build the corpus again to replace it.") from fault


def clip_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Clip:
    """Stored arrays, as `read_arrays` returns them -> float32 throughout."""
    groups = {
        prefix: {
            name.removeprefix(f"{prefix}."): values.astype(np.float32)
            for name, values in arrays.items()
            if name.startswith(f"{prefix}.")
        }
        for prefix in _GROUPS
    }
    f0 = F0Track(
        arrays["f0_hz"].astype(np.float32), arrays["confidence"].astype(np.float32), arrays["voiced"].astype(np.bool_)
    )
    return Clip(
        to_float32(arrays["audio"]), groups["lane"], groups["phys"], f0, arrays["mfcc"].astype(np.float32),
        groups["true"], groups["exc"],
    )


def _compact(values: Float32Array) -> NDArray[np.float16]:
    return np.clip(values, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)


def _json_bytes(value: Mapping[str, Any]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
