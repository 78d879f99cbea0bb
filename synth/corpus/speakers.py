"""Imagined people: anatomy, habits of the larynx, and how steady they are.

Ranges follow what is published about healthy voices and about singers; docs/voice-science.md names the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.corpus.vocal_tract import TractShape
from synth.corpus.voice_source import FoldCharacter

_HAS_VIBRATO: Final = 0.5
_HAS_TREMOR: Final = 0.06


@dataclass(frozen=True, slots=True)
class SpeakerSpec:
    """One imagined person.

    tract             anatomy beyond the vowel
    vibrato_cents     half-width of the vibrato where it is full; 0 for those who have none
    vibrato_hz        its rate
    vibrato_db        half-width of the level's swing with it
    drift_cents       rms quick deviation of F0 from the asked pitch, over less than about 0.3 s
    wander_cents      rms slow deviation, over half a second to seconds
    jitter_ratio      rms relative difference of successive periods in an untroubled voice
    shimmer_db        standard deviation of pulse levels in an untroubled voice
    creak_angle_rad   0: creak is sub-harmonic; pi/2: creak is irregular intervals
    folds             the false folds, and the pulses of creak
    level_drift_db    rms slow deviation of the level from the asked one
    colour_drift_db   rms slow deviation of the alpha ratio
    vowel_drift       rms slow relative deviation of F1 and F2
    tremor_cents      half-width of a trembling of pitch; 0 for most
    tremor_hz         its rate
    """

    tract: TractShape
    vibrato_cents: float
    vibrato_hz: float
    drift_cents: float
    jitter_ratio: float
    shimmer_db: float
    creak_angle_rad: float
    folds: FoldCharacter
    vibrato_db: float = 0.0
    wander_cents: float = 0.0
    level_drift_db: float = 0.0
    colour_drift_db: float = 0.0
    vowel_drift: float = 0.0
    tremor_cents: float = 0.0
    tremor_hz: float = 5.0


def random_speaker(rng: np.random.Generator, *, chaos: float) -> SpeakerSpec:
    """Somebody new; `chaos` (0..1) is how unruly the false folds are."""
    drift_cents = float(np.clip(rng.lognormal(np.log(9.5), 0.4), 3.0, 24.0))
    has_vibrato = rng.uniform() < _HAS_VIBRATO
    # Singers have 5.5-8 Hz and 30-100 cents either way (Timmers & Desain 2000, a review); many others are slower.
    vibrato_cents = float(np.clip(rng.lognormal(np.log(50.0), 0.5), 12.0, 130.0)) if has_vibrato else 0.0
    has_tremor = rng.uniform() < _HAS_TREMOR
    return SpeakerSpec(
        tract=_random_tract(rng),
        vibrato_cents=vibrato_cents,
        vibrato_hz=float(np.clip(rng.normal(5.8, 0.55), 4.5, 7.0)),
        vibrato_db=float(rng.uniform(0.0, 0.025)) * vibrato_cents,
        drift_cents=drift_cents,
        wander_cents=min(drift_cents * float(rng.uniform(1.2, 2.6)), 45.0),
        jitter_ratio=float(np.clip(rng.lognormal(np.log(0.004), 0.45), 0.0015, 0.009)),
        shimmer_db=float(np.clip(rng.lognormal(np.log(0.09), 0.45), 0.03, 0.24)),
        creak_angle_rad=float(rng.uniform(0.1, 1.45)),
        folds=_random_folds(rng, chaos),
        level_drift_db=float(rng.uniform(0.5, 1.9)),
        colour_drift_db=float(rng.uniform(0.6, 2.4)),
        vowel_drift=float(rng.uniform(0.008, 0.028)),
        tremor_cents=float(rng.uniform(15.0, 70.0)) if has_tremor else 0.0,
        # The middle half of essential vocal tremor lies at 3.8-5.5 Hz.
        tremor_hz=float(rng.uniform(3.8, 5.5)),
    )


def _random_tract(rng: np.random.Generator) -> TractShape:
    base = np.asarray(TractShape().upper_hz) * (1.0 + 0.03 * rng.standard_normal(len(TractShape().upper_hz)))
    return TractShape(
        upper_hz=tuple(float(hz) for hz in np.sort(base)),
        bandwidth=float(rng.uniform(0.85, 1.5)),
        zero_hz=float(rng.uniform(4_000.0, 5_200.0)),
        zero_depth=float(rng.uniform(0.0, 0.9)),
        top_hz=float(rng.uniform(8_000.0, 18_000.0)),
    )


def _random_folds(rng: np.random.Generator, chaos: float) -> FoldCharacter:
    doubles = rng.uniform() < 0.6
    return FoldCharacter(
        subharmonic_order=int(rng.choice((2, 3), p=(0.75, 0.25))),
        modulation_chaos=chaos,
        modulation_edge=float(rng.uniform(0.0, 1.0)),
        rate_wander=float(rng.uniform(0.04, 0.2)),
        double_pulse=float(rng.uniform(0.15, 0.6)) if doubles else 0.0,
        double_place=float(rng.uniform(0.2, 0.55)),
    )
