"""What the doctor measures of the machine itself, and what follows for playing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.audio.periods import PeriodTrial

_SLEEP_S: Final = 0.001
_N_SLEEPS: Final = 200
_GOOD_OVERSHOOT_MS: Final = 1.0
_N_NUMBERS: Final = 1 << 16
_N_ROUNDS: Final = 12
_SLOW_DENORMALS: Final = 3.0  # times as slow as other numbers
_MB: Final = 2**20
ROOM: Final = 0.7  # of the cores that play: the rest is for what else happens
PLAYING_CORES: Final = 2  # performer and sampler
MOST_VOICES: Final = 16
ENOUGH_VOICES: Final = 4


def timer_overshoot_ms() -> tuple[float, float]:
    """How much later than asked a sleep of 1 ms ends -> (median, 99 %)."""
    late_ms = np.empty(_N_SLEEPS)
    for index in range(_N_SLEEPS):
        begin_s = time.perf_counter()
        time.sleep(_SLEEP_S)
        late_ms[index] = 1e3 * (time.perf_counter() - begin_s - _SLEEP_S)
    return float(np.median(late_ms)), float(np.percentile(late_ms, 99.0))


def denormal_cost() -> float:
    """How many times as long products of denormal numbers take as those of ordinary ones, by processor time."""
    ordinary = np.full(_N_NUMBERS, 1e-3, dtype=np.float32)
    denormal = np.full(_N_NUMBERS, 1e-40, dtype=np.float32)
    out = np.empty_like(ordinary)
    costs_s: list[float] = []
    for numbers in (ordinary, denormal):
        rounds_s: list[float] = []
        for _ in range(_N_ROUNDS):
            begin_s = time.process_time()
            for _ in range(8):
                np.multiply(numbers, np.float32(0.5), out=out)
            rounds_s.append(time.process_time() - begin_s)
        costs_s.append(min(rounds_s))
    return costs_s[1] / max(costs_s[0], 1e-9)


def realtime_limits() -> dict[str, int | None]:
    """What one may ask of the scheduler -> priority (0: none), locked memory in MB; None: no limit, or unknown."""
    if sys.platform == "win32":
        return {"priority": None, "locked_mb": None}
    import resource  # not on Windows

    def soft(name: str) -> int | None:
        number = getattr(resource, name, None)
        value = resource.RLIM_INFINITY if number is None else resource.getrlimit(number)[0]
        return None if value == resource.RLIM_INFINITY else int(value)

    locked = soft("RLIMIT_MEMLOCK")
    return {"priority": soft("RLIMIT_RTPRIO"), "locked_mb": None if locked is None else locked // _MB}


@dataclass(frozen=True, slots=True)
class Cost:
    """Share of a core that playing takes: for one voice, and for several at once."""

    one: float
    several: float
    n_several: int

    def at(self, n_voices: float) -> float:
        """On the line through both."""
        a_voice = max((self.several - self.one) / (self.n_several - 1), 0.0)
        return self.one + a_voice * (n_voices - 1)

    def most_voices(self, limit: float) -> int:
        """How many stay below `limit`, at most MOST_VOICES."""
        return max((n for n in range(1, MOST_VOICES + 1) if self.at(n) <= limit), default=0)


def jumps_words(n_jumps: int) -> str:
    """1 jump, 4 jumps."""
    return f"{n_jumps} jump{'s' if n_jumps != 1 else ''}"


def voices_by_jumps(sounding: Cost, drawing: Mapping[int, Cost], n_cores: int) -> dict[int, int]:
    """Jumps of a draw -> how many voices leave room: one core is the sampler's where there is more than one."""
    limit = ROOM * min(n_cores, PLAYING_CORES)
    allowed: dict[int, int] = {}
    for n_jumps, cost in drawing.items():
        whole = Cost(sounding.one + cost.one, sounding.several + cost.several, cost.n_several)
        allowed[n_jumps] = min(whole.most_voices(limit), cost.most_voices(ROOM))
    return allowed


def play_advice(allowed: Mapping[int, int]) -> tuple[int | None, int, str]:
    """-> (jumps, voices, in words): the finest draw that leaves enough voices."""
    enough = [n for n, voices in allowed.items() if voices >= ENOUGH_VOICES]
    jumps = max(enough) if enough else max(allowed, key=lambda n: (allowed[n], n))
    voices = allowed[jumps]
    if voices == 0:
        return None, 0, "This machine is too slow to play live; passages can be rendered all the same."
    many = f"up to {voices} voices" if voices > 1 else "one voice"
    return jumps, voices, f"Play with {jumps_words(jumps)} and {many}."


def period_advice(trials: Sequence[PeriodTrial]) -> tuple[PeriodTrial | None, str]:
    """-> (the shortest period from which on all hold, in words)."""
    holding: PeriodTrial | None = None
    for trial in sorted(trials, key=lambda trial: -trial.n_frames):
        if not trial.holds:
            break
        holding = trial
    if holding is None:
        return None, "No device period held: close other programs, or choose another output."
    note_ms = 2.0 * holding.period_ms
    return holding, (
        f"Set the device to {holding.n_frames} frames ({holding.period_ms:.1f} ms): "
        f"a note then leaves the engine {note_ms:.1f} ms after its event."
    )


def machine_findings() -> tuple[bool, list[str], list[str], dict[str, Any]]:
    """-> (whether all is well, lines, advice, values) of timer, denormals, cores and real-time limits."""
    median_ms, late_ms = timer_overshoot_ms()
    ratio, limits = denormal_cost(), realtime_limits()
    priority, locked_mb = limits["priority"], limits["locked_mb"]
    lines = [
        f"{os.cpu_count()} cores; a sleep of 1 ms ends {median_ms:.2f} ms late, 1 of 100 {late_ms:.2f} ms",
        f"denormal numbers take {ratio:.1f} times as long as others",
        f"real-time priority up to {'any' if priority is None else priority}; "
        f"locked memory up to {'any amount' if locked_mb is None else f'{locked_mb} MB'}",
    ]
    advice: list[str] = []
    if priority == 0:
        advice.append(
            "Allow real-time priority: join the group audio or realtime and log in again, so that the sound "
            "system's thread is not kept waiting."
        )
    if late_ms > _GOOD_OVERSHOOT_MS:
        advice.append("The timer is late now and then: choose the performance power profile, close what else is busy.")
    if ratio > _SLOW_DENORMALS:
        lines.append("sounds that die away may cost more than loud ones")
    values = {
        "cores": os.cpu_count(), "timer_late_ms": median_ms, "timer_late_p99_ms": late_ms, "denormal_ratio": ratio,
        **limits,
    }  # fmt: skip
    return not advice, lines, advice, values
