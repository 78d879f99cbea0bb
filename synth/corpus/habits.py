"""Who does what, and where it usually lies: the lane ranges of each technique, and imagined people to do it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

Range = tuple[float, float]

OVERSHOOT: Final = 0.12
_LOWEST_COMPASS_TOP: Final = 45.0


@dataclass(frozen=True, slots=True)
class Habit:
    """Where a technique usually lies: lane ranges, rate of its false folds (Hz), height of its 3 kHz cluster (dB)."""

    pitch: Range
    loudness: Range
    breathiness: Range
    roughness: Range
    fry: Range
    tension: Range
    rate_hz: Range = (40.0, 110.0)
    ring_db: Range = (0.0, 2.0)
    chaos: Range = (0.1, 0.4)


HABITS: Final = MappingProxyType(
    {
        "modal": Habit((36, 78), (-36, -14), (-0.24, 0.24), (-0.25, -0.05), (-0.25, -0.1), (0.1, 0.7)),
        "breathy": Habit((40, 76), (-46, -20), (0.32, 0.68), (-0.25, 0.0), (-0.25, -0.1), (0.0, 0.4)),
        "whisper": Habit((45, 70), (-55, -24), (1.0, 1.12), (-0.25, 0.1), (-0.25, -0.1), (0.92, 1.12)),
        "sigh": Habit((42, 78), (-46, -18), (0.35, 1.0), (-0.25, 0.05), (-0.25, 0.0), (0.05, 0.5)),
        "fry": Habit((20, 39), (-48, -22), (0.1, 0.6), (-0.25, 0.2), (0.5, 1.1), (0.25, 0.7)),
        "growl": Habit(
            (36, 70), (-32, -11), (0.65, 1.12), (0.25, 1.05), (0.0, 0.8), (0.35, 0.9), (38, 92), (2, 7), (0.2, 0.7)
        ),
        "scream": Habit(
            (60, 92), (-24, -9), (0.3, 1.0), (0.35, 1.1), (0.0, 0.6), (0.7, 1.1), (60, 150), (4, 11), (0.3, 0.8)
        ),
        "shout": Habit((50, 80), (-22, -9), (0.0, 0.45), (-0.1, 0.45), (-0.25, 0.1), (0.45, 1.0), ring_db=(3, 8)),
    }
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who sings: the resting `tract` lane, and the middle of the compass (MIDI note)."""

    tract: float
    middle_note: float

    @property
    def formant_scale(self) -> float:
        """1.25 small .. 0.8 large."""
        return float(np.interp(self.tract, (0.0, 0.5, 1.0), (1.25, 1.0, 0.8)))


def somebody(rng: np.random.Generator) -> Person:
    """A child, a woman, a man or a bass, so that small tracts sing high."""
    middle, spread = ((0.0, 0.06), (0.2, 0.09), (0.5, 0.13), (0.82, 0.12))[rng.choice(4, p=(0.12, 0.36, 0.38, 0.14))]
    tract = float(np.clip(rng.normal(middle, spread), -OVERSHOOT, 1.0 + OVERSHOOT))
    return Person(tract, 66.0 - 22.0 * float(np.clip(tract, 0.0, 1.0)) + rng.normal(0.0, 2.0))


def compass(habit: Habit, person: Person) -> Range:
    """Where `person` does this: within the technique's range, as far as the two meet.

    Fry lies equally low in everybody (Hollien & Michel 1968).
    """
    if habit.pitch[1] < _LOWEST_COMPASS_TOP:
        return habit.pitch
    low, high = max(habit.pitch[0], person.middle_note - 13.0), min(habit.pitch[1], person.middle_note + 15.0)
    return (low, high) if high - low >= 8.0 else habit.pitch


def manner_of(rng: np.random.Generator, technique: str) -> dict[str, Range]:
    """Ranges of the lanes whose habits go together -> lane name -> range."""
    habit = HABITS[technique]
    manner = {name: getattr(habit, name) for name in ("breathiness", "roughness", "fry", "tension", "loudness")}
    if technique == "growl":
        # The false folds keep step at F0/2 or F0/3, or they do not (Sakakibara et al. 2004).
        manner |= {"fry": (0.4, 0.9), "roughness": (0.1, 0.7)} if rng.uniform() < 0.4 else {"fry": (0.0, 0.3)}
    elif technique == "breathy":
        middle = rng.uniform(*habit.breathiness)
        manner["breathiness"] = (middle - 0.1, middle + 0.1)  # breathy singing is steadily so
    return manner
