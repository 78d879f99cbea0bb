"""What listening tells, every hop. Light: whoever only reads it need not load what listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HOP_S: Final = 0.005
READ_LANES: Final[tuple[str, ...]] = ("breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a hop of 5 ms was.

    end_s        of the hop, seconds of input since the listener began
    hz           the last pitch heard; 0 before the first
    clarity      of its repetition now, -1..1
    level_db     RMS over 15 ms, dB re full scale
    lanes        READ_LANES -> 0..1; empty until the first frame
    techniques   of TECHNIQUES, sum 1
    is_clipped   the input reached full scale; is_damaged: it held what is no number
    """

    end_s: float
    hz: float
    clarity: float
    is_voiced: bool
    is_present: bool
    level_db: float
    lanes: Mapping[str, float]
    techniques: tuple[float, ...]
    is_clipped: bool = False
    is_damaged: bool = False
