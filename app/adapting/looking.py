"""Looking recordings over before anything is learnt: segments, lanes, problems, what they sound like.

Runs in a process of its own. Every recording is read once, a few seconds at a time; lanes are measured in the first
minutes only, for measuring takes a thirtieth of the recording's length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from app.adapting.messages import (
    ENVELOPE_RATE_HZ,
    LANES_SHOWN,
    Doing,
    FoundRecording,
    Looked,
    News,
    Problem,
    Segment,
)
from synth.corpus.cutting import Piece, plan_clips
from synth.corpus.real import AUDIO_SUFFIXES, Source, list_sounds
from synth.corpus.recording_check import recording_findings
from synth.corpus.survey import FRAMES_PER_S, Survey, survey_recording
from synth.errors import UserError
from synth.features.analysis import Analysis, analyse
from synth.features.technique import load_technique_classifier
from synth.spec import SAMPLE_RATE_HZ, Float32Array
from synth.spec.lanes import TECHNIQUES

MOST_MEASURED_S: Final = 150.0  # of all recordings together
MOST_RECORDINGS: Final = 400
_SUNG: Final = 0.5
_LEAST_SUNG_FRAMES: Final = 20

Tell = Callable[[News], None]


def look(paths: Sequence[Path], tell: Tell) -> None:
    """Tell of every sound file in folders and among files, in order; `Looked` is the last. Raises UserError."""
    files, said = _files(paths)
    left_s = MOST_MEASURED_S
    for index, path in enumerate(files):
        tell(Doing(f"Listening to {path.name}", index / len(files)))
        found, measured_s = look_at(path, left_s)
        left_s -= measured_s
        tell(found)
    tell(Looked(tuple(said)))


def look_at(path: Path, most_measured_s: float) -> tuple[FoundRecording, float]:
    """-> (what is in one recording, seconds of it that were measured)"""
    try:
        survey = survey_recording(path)
    except UserError as fault:
        message = fault.message.removeprefix(f"{path} ").rstrip(".")
        return FoundRecording(path, path.name, problems=(Problem(message, is_refused=True),)), 0.0
    findings = recording_findings(survey)
    problems = tuple(Problem(finding.message, finding.severity == "error") for finding in findings)
    source = Source(path, path.name, "own", "", "", "", "")
    pieces = [] if any(problem.is_refused for problem in problems) else _pieces(source, survey)
    if not pieces and not any(problem.is_refused for problem in problems):
        problems = (*problems, Problem("nobody sings in it", is_refused=True))
    lanes, heard, measured_s = _measured(path, survey, pieces, most_measured_s)
    segments = tuple(
        Segment(
            piece.first_sample / piece.sample_rate_hz, piece.end_sample / piece.sample_rate_hz, heard.get(index, "")
        )
        for index, piece in enumerate(pieces)
    )
    seconds = Counter[str]()
    for segment in segments:
        if segment.technique:
            seconds[segment.technique] += segment.end_s - segment.start_s  # pyright: ignore[reportArgumentType]
    whole = sum(seconds.values()) or 1.0
    return FoundRecording(
        path, path.name, survey.duration_s, _envelope(survey), segments, problems, lanes,
        {name: value / whole for name, value in seconds.most_common()},
    ), measured_s  # fmt: skip


def _files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    files: list[Path] = []
    said: list[str] = []
    for path in paths:
        if path.is_dir():
            try:
                inside, left_out = list_sounds(path)
            except UserError as fault:
                said.append(str(fault))
                continue
            files += inside
            said += left_out
        elif not path.exists():
            said.append(f"{path.name} is not there.")
        elif path.suffix.lower() in AUDIO_SUFFIXES:
            files.append(path)
        else:
            said.append(f"{path.name} is no sound file.")
    files = list(dict.fromkeys(files))
    if len(files) > MOST_RECORDINGS:
        said.append(f"Only the first {MOST_RECORDINGS} of {len(files)} recordings are looked at.")
    if not files:
        raise UserError(
            said[0] if said else "There are no recordings.", remedy="WAV, FLAC, AIFF, OGG and MP3 are read."
        )
    return files[:MOST_RECORDINGS], said


def _pieces(source: Source, survey: Survey) -> list[Piece]:
    """As the corpus will cut it."""
    return [piece for plan in plan_clips([(source, survey)]) for piece in plan.pieces]


def _envelope(survey: Survey) -> Float32Array:
    """RMS amplitude, ENVELOPE_RATE_HZ a second."""
    power = 10.0 ** (survey.level_db.astype(np.float64) / 10.0)
    step = FRAMES_PER_S // ENVELOPE_RATE_HZ
    starts = np.arange(0, len(power), step)
    sums = np.add.reduceat(power, starts)
    return np.sqrt(sums / np.diff(np.append(starts, len(power)))).astype(np.float32)


def _measured(
    path: Path, survey: Survey, pieces: Sequence[Piece], most_s: float
) -> tuple[dict[str, Float32Array], dict[int, str], float]:
    """-> (lanes on the envelope's grid, piece's index -> technique it sounds like, seconds that were measured)"""
    n = -(-len(survey.level_db) * ENVELOPE_RATE_HZ // FRAMES_PER_S)
    lanes = {name: np.full(n, np.nan, dtype=np.float32) for name in LANES_SHOWN}
    heard: dict[int, str] = {}
    spent_s = 0.0
    for index, piece, audio in _audio_of(path, pieces, most_s):
        analysis = analyse(audio, technique_classifier=load_technique_classifier())
        spent_s += piece.duration_s
        sung = analysis.lanes["presence"] > _SUNG
        if np.count_nonzero(sung) < _LEAST_SUNG_FRAMES:
            continue
        heard[index] = max(TECHNIQUES, key=lambda name: float(analysis.lanes[f"technique.{name}"][sung].mean()))
        first = round(piece.first_sample / piece.sample_rate_hz * ENVELOPE_RATE_HZ)
        for name, row in lanes.items():
            values = _thinned(analysis, name)
            end = min(first + len(values), n)
            row[first:end] = values[: end - first]
    return (lanes if spent_s > 0.0 else {}), heard, spent_s


def _thinned(analysis: Analysis, lane_id: str) -> Float32Array:
    """A lane on the envelope's grid: each stretch's middle frame, NaN where nobody sings."""
    step = FRAMES_PER_S // ENVELOPE_RATE_HZ
    values = np.where(analysis.lanes["presence"] > _SUNG, analysis.lanes[lane_id], np.nan)
    return values[step // 2 :: step].astype(np.float32)


def _audio_of(path: Path, pieces: Sequence[Piece], most_s: float) -> Iterator[tuple[int, Piece, Float32Array]]:
    """Pieces as mono 48 kHz until `most_s` is spent; a file that vanishes meanwhile has no more."""
    left_s = most_s
    try:
        with soundfile.SoundFile(path) as file:
            for index, piece in enumerate(pieces):
                if piece.duration_s > left_s:
                    return
                left_s -= piece.duration_s
                file.seek(piece.first_sample)
                block = file.read(piece.end_sample - piece.first_sample, dtype="float32", always_2d=True)
                mono = block.mean(axis=1, dtype=np.float32)
                audio = np.asarray(soxr.resample(mono, file.samplerate, SAMPLE_RATE_HZ), dtype=np.float32)
                if len(audio) >= SAMPLE_RATE_HZ // 10:
                    yield index, piece, audio
    except (soundfile.LibsndfileError, OSError):
        return
