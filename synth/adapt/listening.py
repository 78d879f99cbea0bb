"""Hearing an adaptation while it trains: a held-out phrase, sung by the base once and by what has been learnt so far.

Every preview is a FLAC file and a control error: how far the lanes measured in a few held-out recordings, sung again,
lie from the recordings'. What had the smallest so far, of what has learnt something, is kept beside the last and the
best by validation. Nothing here moves the training's random numbers.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from synth.adapt.judge import control_error, everywhere, with_strengths, write_flac
from synth.adapters.file import Adapter, AdapterInfo, read_adapter, save_adapter
from synth.atomic import write_atomically
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from synth.errors import UserError
from synth.evaluate.distances import Sound
from synth.evaluate.recordings import Recording, extracted
from synth.evaluate.resung import with_technique
from synth.evaluate.singing import Singer
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES

log = logging.getLogger(__name__)

LONGEST_S: Final = 3.2
N_HEARD: Final = 3  # recordings whose lanes are measured; the first is the one that is heard
HEARD_FILE: Final = "nearest.safetensors"
_LIST_FILE: Final = "previews.json"
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """One look at a training.

    index          0 is the base, before anything was learnt
    seconds        of training, over all resumed runs
    control_error  mean over lanes and recordings, as a share of a lane's range; NaN where none could be measured
    sound          the phrase as FLAC
    """

    index: int
    seconds: float
    control_error: float
    sound: Path


Layers = Mapping[str, Mapping[str, Tensor]]
OnPreview = Callable[[Preview], None]


class Listener:
    """Sings previews of one training into a folder, and goes on with the list that lies there.

    reals    held-out recordings with what is measured of them, at least one; they are cut to LONGEST_S
    every_s  between previews
    """

    def __init__(
        self, engine: Engine, plan: SamplingPlan, info: AdapterInfo, reals: Sequence[Recording], folder: Path,
        *, every_s: float, on_preview: OnPreview = lambda _preview: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._singer = Singer(engine, "draft", plan)
        self._engine, self._info, self._folder, self._every_s = engine, info, folder, every_s
        self._on_preview, self._clock = on_preview, clock
        self._reals = [(phrase, Sound.of(phrase.audio)) for phrase in (_cut(real) for real in reals[:N_HEARD])]
        self.previews = _read_list(folder)
        is_kept = (folder / HEARD_FILE).is_file()
        self._nearest_error = min((p.control_error for p in self.previews[1:] if is_kept), default=math.inf)
        self._began_s = clock() - (self.previews[-1].seconds if self.previews else 0.0)
        self._next_s = self._began_s + self._seconds() + every_s

    def begin(self) -> None:
        """The recording itself, and the base; what lies there already is told again."""
        if self.previews:
            for preview in self.previews:
                self._on_preview(preview)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        write_flac(self._folder / "recording.flac", self._reals[0][0].audio)
        self._add({}, 0.0)
        self._began_s = self._clock()  # singing the base is no training
        self._next_s = self._began_s + self._every_s

    def __call__(self, layers: Callable[[], Layers]) -> None:
        """Ask often; sings when it is time."""
        if self._clock() < self._next_s:
            return
        adapter = Adapter.of(self._info, layers())
        self._engine.adapters.add(adapter)
        try:
            preview = self._add(everywhere(adapter.id), self._seconds())
        finally:
            self._engine.adapters.remove(adapter.id)
        # Without a layer nothing has moved yet: that is the base, and no candidate.
        if adapter.layers and preview.control_error <= self._nearest_error:
            self._nearest_error = preview.control_error
            save_adapter(self._folder / HEARD_FILE, adapter.info, adapter.layers)
        self._next_s = self._clock() + self._every_s

    def nearest(self) -> Layers | None:
        """What had the smallest control error of all previews; None without any."""
        path = self._folder / HEARD_FILE
        if not path.is_file():
            return None
        try:
            return read_adapter(path).layers
        except UserError as fault:
            log.warning("%s; the others are chosen from", fault)
            return None

    def _seconds(self) -> float:
        return self._clock() - self._began_s

    def _add(self, strengths: Mapping[str, Mapping[str, float]], seconds: float) -> Preview:
        errors: list[float] = []
        path = self._folder / f"preview-{len(self.previews):03d}.flac"
        for index, (_, real) in enumerate(self._reals):
            gesture = with_strengths(with_technique(extracted(real.analysis), self._info.technique), strengths)
            made = Sound.of(self._singer.sing(gesture, _SEED))
            errors.append(control_error(made, real))
            if index == 0:
                write_flac(path, made.audio)
        known = [error for error in errors if math.isfinite(error)]
        preview = Preview(
            len(self.previews), round(seconds, 1), float(np.mean(known)) if known else math.nan, path
        )  # fmt: skip
        self.previews.append(preview)
        _write_list(self._folder, self.previews)
        self._on_preview(preview)
        return preview


def read_previews(folder: Path) -> list[Preview]:
    """What a training has left to be heard, the base first; empty where there is nothing."""
    return _read_list(folder)


def _cut(recording: Recording) -> Recording:
    """Its most sounding LONGEST_S."""
    n_samples = round(LONGEST_S * FRAME_RATE_HZ) * HOP_SAMPLES
    audio = recording.audio
    if len(audio) <= n_samples:
        return recording
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    starts = np.arange(0, len(audio) - n_samples + 1, HOP_SAMPLES)
    first = int(starts[np.argmax(energy[starts + n_samples] - energy[starts])])
    return Recording(recording.id, recording.label, audio[first : first + n_samples].copy())


def _write_list(folder: Path, previews: Sequence[Preview]) -> None:
    rows = [
        asdict(preview) | {
            "sound": preview.sound.name,
            "control_error": preview.control_error if math.isfinite(preview.control_error) else None,
        }
        for preview in previews
    ]  # fmt: skip
    write_atomically(folder / _LIST_FILE, (json.dumps(rows, indent=1) + "\n").encode())


def _read_list(folder: Path) -> list[Preview]:
    path = folder / _LIST_FILE
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = [
            Preview(int(row["index"]), float(row["seconds"]), _or_nan(row["control_error"]), folder / row["sound"])
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        log.warning("%s cannot be read (%s): beginning a new list", path, fault)
        return []
    return found if all(preview.sound.is_file() for preview in found) else []


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
