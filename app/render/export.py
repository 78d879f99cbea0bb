"""A finished clip becomes files: the mix, and each voice on its own when asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from app.render.clip import Clip, pan_gains
from app.render.files import AudioFileWriter, attenuation_db_for, subtype_for
from app.state.passage import Voice
from synth.spec import SAMPLE_RATE_HZ, Float32Array

_BLOCK_SAMPLES = 10 * SAMPLE_RATE_HZ
_CHANNELS = 2


def stem_path(path: Path, index: int, voice: Voice) -> Path:
    """OUT.wav -> OUT-1-soprano.wav for the first voice, called "Soprano"."""
    name = re.sub(r"[^\w-]+", "-", voice.name.lower()).strip("-") or "voice"
    return path.with_name(f"{path.stem}-{index + 1}-{name}{path.suffix}")


class ClipExport:
    """Writes a clip; the work comes in pieces so that something else can be done in between.

    PCM cannot hold peaks above full scale: then every file of the export is turned down by `attenuation_db`, so that
    the stems still add up to the mix. Stems are stereo, at their gain and pan.
    """

    def __init__(
        self, clip: Clip, voices: Sequence[Voice], path: Path, *, stems: bool = False, subtype: str | None = None
    ) -> None:
        self.path = path
        self._clip = clip
        self._subtype = subtype_for(path, subtype)
        self._sources: list[tuple[Path, int | None, tuple[float, float]]] = [(path, None, (1.0, 1.0))]
        if stems:
            self._sources += [
                (stem_path(path, index, voice), index, pan_gains(voice.gain_db, voice.pan))
                for index, voice in enumerate(voices)
            ]
        self.attenuation_db = attenuation_db_for(self._peak(), self._subtype)

    def steps(self) -> Iterator[float]:
        """Write all files, yielding the fraction done; no file changes before all are complete. Raises UserError."""
        writers: list[AudioFileWriter] = []
        total = len(self._sources) * self._clip.n_samples
        done = 0
        try:
            for path, voice, gains in self._sources:
                writer = AudioFileWriter(
                    path,
                    n_channels=_CHANNELS,
                    n_samples=self._clip.n_samples,
                    subtype=self._subtype,
                    attenuation_db=self.attenuation_db,
                )
                writers.append(writer)
                for block in self._blocks(voice, gains):
                    writer.write(block)
                    done += len(block)
                    yield done / total
            for writer in writers:
                writer.commit()
        finally:
            for writer in writers:
                writer.discard()

    def _peak(self) -> float:
        """Highest absolute sample of all files; only PCM needs to know."""
        peak = float(self._clip.peaks.max(initial=0.0))
        if attenuation_db_for(float("inf"), self._subtype) == 0.0:
            return peak
        for _, voice, gains in self._sources[1:]:
            peak = max(peak, *(float(np.max(np.abs(block), initial=0.0)) for block in self._blocks(voice, gains)))
        return peak

    def _blocks(self, voice: int | None, gains: tuple[float, float]) -> Iterator[Float32Array]:
        for start in range(0, self._clip.n_samples, _BLOCK_SAMPLES):
            end = start + _BLOCK_SAMPLES
            if voice is None:
                yield self._clip.read_mix(start, end)
            else:
                yield self._clip.read_stem(voice, start, end)[:, None] * np.asarray(gains, dtype=np.float32)
