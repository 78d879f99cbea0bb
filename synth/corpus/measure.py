"""One clip of work each: take a recording, a simulated gesture or a stored clip, measure it, write it.

Runs in the builder's workers; a job carries everything it needs and answers with the clip's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.clip_file import (
    Clip,
    audio_sha256,
    clip_from_arrays,
    read_arrays,
    read_made_with,
    to_float32,
    to_int16,
    write_clip,
)
from synth.corpus.cutting import PEAK_LIMIT, ClipPlan, render_clip
from synth.corpus.labels import LABEL_MEANINGS
from synth.corpus.manifest import ClipRecord, Kind, clip_path, split_of_seed
from synth.corpus.simulator import SIMULATOR_REVISION, SimulatedClip, simulate_random
from synth.errors import UserError
from synth.features.analysis import analyse
from synth.features.f0 import F0Track
from synth.spec import CALIBRATION_REVISION, SAMPLE_RATE_HZ, TECHNIQUES, Float32Array, lane

SIMULATED_LICENCE: Final = "CC0-1.0"
SIMULATED_CONSENT: Final = "no person's voice: synthesised"
SIMULATED_COLLECTION: Final = "simulator"
# What is on disk is kept only where it was made with these.
MADE_WITH: Final[Mapping[Kind, Mapping[str, int]]] = {
    "real": {"calibration": CALIBRATION_REVISION},
    "simulated": {"calibration": CALIBRATION_REVISION, "simulator": SIMULATOR_REVISION},
}
_SINGS, _PULSES_SOUND, _LOWEST_AUDIBLE_HNR_DB = 0.5, 0.1, -10.0


@dataclass(frozen=True, slots=True)
class RealJob:
    """Read a recorded clip and measure it."""

    out_dir: Path
    plan: ClipPlan

    @property
    def clip_id(self) -> str:
        """The clip's name in the corpus."""
        number = self.plan.variant.number
        return f"{self.plan.id}-v{number}" if number else self.plan.id


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """Simulate a gesture and measure it."""

    out_dir: Path
    seed: int
    duration_s: float
    technique: str | None

    @property
    def clip_id(self) -> str:
        """The clip's name in the corpus."""
        return f"simulated-{self.technique or 'mixed'}-{self.seed:08d}"


@dataclass(frozen=True, slots=True)
class RefreshJob:
    """Measure a stored clip again."""

    out_dir: Path
    record: ClipRecord

    @property
    def clip_id(self) -> str:
        """The clip's name in the corpus."""
        return self.record.id


Job = RealJob | SimulatedJob | RefreshJob


def run_job(job: Job) -> ClipRecord:
    """Do one job. What is on disk already, whole, from the same job and up to date, is kept. -> the clip's record"""
    match job:
        case RealJob():
            return _measure_real(job)
        case SimulatedJob():
            return _measure_simulated(job)
        case RefreshJob():
            return _measure_again(job)


def _measure_real(job: RealJob) -> ClipRecord:
    plan, source = job.plan, job.plan.source
    meaning = LABEL_MEANINGS[source.label]
    sound, gains_db = render_clip(plan)
    audio = to_int16(sound)
    record = ClipRecord(
        id=job.clip_id, kind="real", collection=source.collection, technique=dict(meaning.technique),
        label=source.label, split=plan.split, family=source.family, licence=source.licence,
        consent=source.consent, attribution=source.attribution,
        duration_s=round(len(audio) / SAMPLE_RATE_HZ, 4), seed=None, sources=plan.sources,
        gains_db=tuple(round(gain_db, 3) for gain_db in gains_db), sha256=audio_sha256(audio),
        variant=str(plan.variant),
    )
    path = clip_path(job.out_dir, job.clip_id)
    if _stored_record(path) == record:
        return record
    measured = _measured(audio, None, meaning.technique, meaning.ingress)
    write_clip(path, record.to_json(), audio, measured, MADE_WITH["real"])
    return record


def _measure_simulated(job: SimulatedJob) -> ClipRecord:
    path = clip_path(job.out_dir, job.clip_id)
    stored = _stored_record(path)
    if stored is not None and _is_of(stored, job):
        return stored
    simulated = simulate_random(job.seed, job.duration_s, job.technique)
    peak = float(np.abs(simulated.audio).max())
    gain_db = 20.0 * float(np.log10(min(1.0, PEAK_LIMIT / max(peak, 1e-9))))
    audio = to_int16(simulated.audio * np.float32(10.0 ** (gain_db / 20.0)))
    controls = dict(simulated.controls)
    if gain_db < 0.0 and "loudness" in controls:
        controls["loudness"] = np.maximum(controls["loudness"] + np.float32(gain_db), lane("loudness").minimum)
    record = ClipRecord(
        id=job.clip_id, kind="simulated", collection=SIMULATED_COLLECTION,
        technique={name: round(float(weight), 4) for name, weight in simulated.technique.items() if weight > 0.0},
        label=job.technique or "mixed", split=split_of_seed(job.seed), family=f"simulator/{job.seed}",
        licence=SIMULATED_LICENCE, consent=SIMULATED_CONSENT, attribution="",
        duration_s=round(len(audio) / SAMPLE_RATE_HZ, 4), seed=job.seed, sources=(),
        gains_db=(round(gain_db, 3),), sha256=audio_sha256(audio),
    )
    measured = _measured(
        audio, true_track(simulated), record.technique, 0.0, controls, simulated.excitation
    )
    write_clip(path, record.to_json(), audio, measured, MADE_WITH["simulated"])
    return record


def _measure_again(job: RefreshJob) -> ClipRecord:
    record = job.record
    path = clip_path(job.out_dir, record.id)
    stored_json, arrays = read_arrays(path)
    if audio_sha256(arrays["audio"]) != record.sha256 or stored_json.get("id") != record.id:
        raise UserError(f"The clip {record.id} is not what the manifest says.", remedy="Build the corpus again.")
    clip = clip_from_arrays(arrays)
    f0 = clip.f0 if record.kind == "simulated" else None
    ingress = LABEL_MEANINGS[record.label].ingress if record.kind == "real" else 0.0
    measured = _measured(arrays["audio"], f0, record.technique, ingress, clip.true_lanes, clip.excitation)
    write_clip(path, record.to_json(), arrays["audio"], measured, read_made_with(path))
    return record


def _is_of(stored: ClipRecord, job: SimulatedJob) -> bool:
    """Whether a stored clip is what the job would make."""
    asked = (job.clip_id, job.seed, split_of_seed(job.seed))
    return (stored.id, stored.seed, stored.split) == asked and abs(stored.duration_s - job.duration_s) < 0.001


def true_track(clip: SimulatedClip) -> F0Track:
    """The simulator's own F0 as a track: voiced where pulses sound, not buried in noise."""
    sings = clip.controls["presence"] > _SINGS
    voiced = sings & (clip.voicing > _PULSES_SOUND) & (clip.hnr_db > _LOWEST_AUDIBLE_HNR_DB)
    return F0Track(clip.f0_hz, (clip.voicing * sings).astype(np.float32), voiced)


def _measured(
    audio: NDArray[np.int16],
    f0: F0Track | None,
    technique: Mapping[str, float],
    ingress: float,
    true_lanes: Mapping[str, Float32Array] | None = None,
    excitation: Mapping[str, Float32Array] | None = None,
) -> Clip:
    """Everything about a clip: lanes as measured, and as known where ears cannot tell (technique, ingress)."""
    sound = to_float32(audio)
    analysis = analyse(sound, f0)
    known = true_lanes or {}
    lanes = dict(analysis.lanes)
    lanes["ingress"] = known.get("ingress", np.full(analysis.n_frames, ingress, dtype=np.float32))
    for name in TECHNIQUES:
        constant = np.full(analysis.n_frames, technique.get(name, 0.0), dtype=np.float32)
        lanes[f"technique.{name}"] = known.get(f"technique.{name}", constant)
    return Clip(sound, lanes, analysis.physical, analysis.f0, analysis.mfcc, known, excitation or {})


def _stored_record(path: Path) -> ClipRecord | None:
    """The record of the clip at `path`; None when it is missing, damaged, out of date or not what it says it is."""
    if not path.is_file():
        return None
    try:
        values, arrays = read_arrays(path)
        record = ClipRecord.from_json(values)
        whole = audio_sha256(arrays["audio"]) == record.sha256 and read_made_with(path) == MADE_WITH[record.kind]
    except (UserError, KeyError, TypeError):
        return None
    return record if whole else None



