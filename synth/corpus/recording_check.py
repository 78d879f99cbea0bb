"""What is to be said of a recording before anything is learnt from it, from one pass over it.

An error keeps it out; a warning is for its owner to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from synth.corpus.survey import Survey

MIN_PEAK_DB: Final = -50.0
MAX_PEAK_DB: Final = 40.0  # over full scale: no level, but numbers that were never sound
MIN_DURATION_S: Final = 0.03
MAX_CLIPPED_SHARE: Final = 1e-4
MAX_OFFSET: Final = 0.01
MIN_BANDWIDTH_HZ: Final = 7_000.0
MIN_RATE_HZ: Final = 22_050
LONG_S: Final = 20.0 * 60.0
MAX_SIDE_DB: Final = -30.0
MAX_FLOOR_BELOW_PEAK_DB: Final = -20.0
MIN_VARIED_DB: Final = 12.0
MIN_NOISE_S: Final = 1.0  # in a single consonant there is no pause to hear the room in
MAX_SILENT_SHARE: Final = 0.6
_SILENT_BELOW_PEAK_DB: Final = 60.0
_CANCELLING_DB: Final = 6.0

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, without the name of what it is wrong with and without a full stop."""

    severity: Severity
    message: str


def recording_findings(survey: Survey) -> list[Finding]:
    """Everything a survey shows, errors first; an empty list is good news."""
    peak_db = 20.0 * float(np.log10(survey.peak + 1e-9))
    if survey.duration_s < MIN_DURATION_S:
        return [Finding("error", f"only {1000.0 * survey.duration_s:.0f} ms long")]
    if peak_db < MIN_PEAK_DB:
        return [Finding("error", f"nearly silent, peak {peak_db:.0f} dB")]
    if peak_db > MAX_PEAK_DB:
        return [Finding("error", f"peak {peak_db:.0f} dB over full scale")]
    return [Finding("warning", message) for message in _warnings(survey)]


def has_pauses(level_db: np.ndarray) -> bool:
    """Whether the level varies enough for its lowest part to be the room and not the voice."""
    return float(np.percentile(level_db, 95.0) - np.percentile(level_db, 10.0)) > MIN_VARIED_DB


def floor_below_peak_db(level_db: np.ndarray) -> float:
    """The level that 5 % of the frames stay under, against the loudest frame."""
    return float(np.percentile(level_db, 5.0)) - float(level_db.max())


def _warnings(survey: Survey) -> Iterator[str]:
    if survey.clipped_share > MAX_CLIPPED_SHARE:
        yield f"clipped, {100.0 * survey.clipped_share:.2f} % of samples lie on flat tops"
    if abs(survey.offset) > MAX_OFFSET:
        yield f"constant offset of {survey.offset:.3f}"
    if survey.sample_rate_hz < MIN_RATE_HZ:
        yield f"only {survey.sample_rate_hz} samples a second"
    if survey.bandwidth_hz < MIN_BANDWIDTH_HZ:
        yield f"bandwidth of only {survey.bandwidth_hz:.0f} Hz, as if it had been sampled more slowly once"
    if survey.side_db > _CANCELLING_DB:
        yield "its channels cancel each other when they are mixed to one"
    elif survey.side_db > MAX_SIDE_DB:
        yield f"stereo, mixed to mono; what the channels do not share is {survey.side_db:.0f} dB against what they do"
    if survey.n_channels > 2:
        yield f"{survey.n_channels} channels, mixed to one"
    if survey.duration_s > LONG_S:
        yield f"{survey.duration_s / 60.0:.0f} minutes long, so listen whether all of it is this technique"
    level_db = survey.level_db
    silent = float(np.mean(level_db < level_db.max() - _SILENT_BELOW_PEAK_DB))
    if silent > MAX_SILENT_SHARE:
        yield f"silent for {100.0 * silent:.0f} % of its length"
    floor_db = floor_below_peak_db(level_db)
    if survey.duration_s >= MIN_NOISE_S and has_pauses(level_db) and floor_db > MAX_FLOOR_BELOW_PEAK_DB:
        yield f"noisy, floor {-floor_db:.0f} dB below the loudest frame"
