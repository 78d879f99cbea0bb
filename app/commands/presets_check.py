"""`stridor presets check`: every preset is sung, measured, and compared with its neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, columns, show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.state.preset import Preset
    from synth.spec import Float32Array

SUNG_S: Final = 2.0
_NOTE_S: Final = (0.1, 1.5)  # start, duration
_PARTS: Final = (slice(25, 75), slice(95, 150))  # frames: how a note begins, and what becomes of it
# How far apart in a lane's unit is plainly audible; vowels as in vowel charts, a third of the way from close to open.
AUDIBLE: Final[Mapping[str, float]] = {
    "breathiness": 0.15,
    "roughness": 0.15,
    "fry": 0.15,
    "tension": 0.12,
    "loudness": 4.0,
    "vowel_open": 0.2,
    "vowel_front": 0.2,
    "pitch": 3.0,
}
LOUDNESS_RANGE_DB: Final = (-45.0, -8.0)
PEAK_LIMIT_DB: Final = -0.3
_SEEDS: Final = (3, 4)


@dataclass(frozen=True, slots=True)
class Heard:
    """A preset as measured. features: (lane, part) -> mean of the takes; spread: how much the takes differ."""

    id: str
    loudness_db: float
    peak_db: float
    features: Mapping[tuple[str, int], float]
    spread: Mapping[tuple[str, int], float]

    def faults(self) -> list[str]:
        """What is wrong with it by itself."""
        low, high = LOUDNESS_RANGE_DB
        faults = []
        if not np.isfinite(self.loudness_db):
            return ["silent"]
        if not low <= self.loudness_db <= high:
            faults.append(f"level {self.loudness_db:.1f} dB is not within {low:g} to {high:g}")
        if self.peak_db > PEAK_LIMIT_DB:
            faults.append(f"peaks at {self.peak_db:.1f} dB")
        return faults


def distance(one: Heard, other: Heard) -> tuple[float, str]:
    """How many times the plainly audible two presets differ, in the lane where they do most -> (times, lane).

    A lane counts only as far as it differs by more than the takes of either do among themselves.
    """
    best = (0.0, "nothing")
    for key, value in one.features.items():
        there = other.features.get(key, np.nan)
        apart = abs(value - there) - max(one.spread[key], other.spread[key])
        if np.isfinite(apart):
            best = max(best, (apart / AUDIBLE[key[0]], key[0]))
    return best


class PresetSinger:
    """Sings a note with any preset; loads the model once. Raises UserError where there is none."""

    def __init__(self, quality: str = "draft") -> None:
        from app.render.offline import OfflineRenderer

        self._quality = quality
        self._renderer = OfflineRenderer(device="auto", n_threads=None)

    def sing(self, preset: Preset, seed: int = 0) -> Float32Array:
        """One note at the preset's own pitch -> [n_samples]."""
        from app.state.passage import Note, Passage, Voice
        from synth.spec import lane

        note = preset.lane_defaults.get("pitch", lane("pitch").default)
        voice = Voice(preset=preset.id, seed=seed, notes=(Note(*_NOTE_S, note),))
        passage = Passage(SUNG_S, voices=(voice,))
        audio, _ = self._renderer.to_array(passage, quality=self._quality, presets={preset.id: preset})
        return audio[:, 0].copy()


def hear(preset: Preset, takes: Sequence[Float32Array]) -> Heard:
    """Measure takes of a preset."""
    from synth.features.analysis import analyse
    from synth.spec import lane

    measured: dict[tuple[str, int], list[float]] = {}
    levels_db: list[float] = []
    for take in takes:
        analysis = analyse(take)
        for part, frames in enumerate(_PARTS):
            for lane_id in AUDIBLE.keys() - {"pitch"}:
                values = analysis.lanes[lane_id][frames]
                known = values[np.isfinite(values)]
                measured.setdefault((lane_id, part), []).append(float(known.mean()) if len(known) else np.nan)
        levels_db.append(measured["loudness", 0][-1])
    features = {key: float(np.mean(values)) for key, values in measured.items()}
    features["pitch", 0] = preset.lane_defaults.get("pitch", lane("pitch").default)
    spread = {key: float(np.ptp(measured[key])) if key in measured else 0.0 for key in features}
    peak = max(float(np.abs(take).max()) for take in takes)
    is_silent = peak < 1e-4
    peak_db = 20.0 * float(np.log10(max(peak, 1e-9)))
    return Heard(preset.id, np.nan if is_silent else float(np.mean(levels_db)), peak_db, features, spread)


@stridor_command("check", example="stridor presets check growl scream")
@click.argument("preset_ids", metavar="[PRESET]...", nargs=-1)
@click.option("--quality", type=click.Choice(["live", "draft", "final"]), default="draft", show_default=True)
def check_command(preset_ids: tuple[str, ...], quality: str, as_json: bool) -> None:
    """Sing presets, and check their level and that each differs audibly from every other.

    Without arguments, all of the installed. Exits with 2 where something is wrong.
    """
    from app.store.presets import load_preset, read_shelf

    shelf = read_shelf()
    presets = [load_preset(preset_id) for preset_id in preset_ids] or list(shelf.presets.values())
    singer = PresetSinger(quality)
    heard: list[Heard] = []
    with ProgressLine("Singing", quiet=as_json) as line:
        for index, preset in enumerate(presets):
            heard.append(hear(preset, [singer.sing(preset, seed) for seed in _SEEDS]))
            line.update(index + 1, len(presets), preset.name)
    rows, faults = _judged(heard)
    faults += [str(fault) for fault in shelf.faults if not preset_ids]
    header = ["preset", "level", "peak", "nearest", "times audible", "most in"]
    table = [
        [
            r["id"],
            *(f"{r[key]:.1f} dB" for key in ("loudness_db", "peak_db")),
            r["nearest"],
            f"{r['times']:.1f}",
            r["lane"],
        ]
        for r in rows
    ]
    show({"presets": rows, "faults": faults}, [*columns(table, header=header), *faults], as_json=as_json)
    if faults:
        raise UserError(f"{len(faults)} faults in {len(presets)} presets.", remedy="See the list above.")


def _judged(heard: Sequence[Heard]) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each preset with its nearest neighbour, and what is wrong."""
    faults = [f"{one.id}: {fault}" for one in heard for fault in one.faults()]
    nearest: dict[str, tuple[float, str, str]] = {one.id: (np.inf, "-", "-") for one in heard}
    for one, other in itertools.combinations(heard, 2):
        times, where = distance(one, other)
        nearest[one.id] = min(nearest[one.id], (times, other.id, where))
        nearest[other.id] = min(nearest[other.id], (times, one.id, where))
        if times < 1.0:
            faults.append(f"{one.id} and {other.id} sound alike ({times:.1f} times the audible, in {where})")
    rows = [
        {
            "id": one.id,
            "loudness_db": one.loudness_db,
            "peak_db": one.peak_db,
            "nearest": nearest[one.id][1],
            "times": nearest[one.id][0],
            "lane": nearest[one.id][2],
        }
        for one in heard
    ]
    return rows, faults
