"""The part of `stridor bench live` that plays for long: notes lost, notes stuck, memory that grows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from app.commands.stage_bench.player import Bench, ProcessMemory, Stage, play_with
from app.commands.stage_bench.rig import Recorder, recorder
from app.commands.stage_bench.scores import hands
from app.live.stage.meter import LiveMeter
from app.store.presets import load_preset

_BANK: Final = ("growl", "scream", "shout", "breathy_head")
_ONSETS: Final = 400
_ONSETS_LIMIT_S: Final = 120.0
_WARM_UP_S: Final = 60.0
_WARM_UP_SHARE: Final = 0.2  # of a soak that is short
_TAKE_S: Final = 60.0
_OVER_S: Final = 3.0  # after the last note: every release is shorter
_TOLD: Final = 12  # points of a course
_BYTES_PER_MB: Final = 2**20
_GROWTH_MB: Final = 30.0


def soak(bench: Bench) -> dict[str, Any]:
    """Hands that play on and on, another preset now and then: notes lost, notes stuck, memory that grows.

    Every note asked for is sung (its first sample was played), stolen before that (it made room for others: the
    machine or the profile allows no more voices), or lost: never heard though nobody stole it. None is let go sooner
    than two periods, so no note may be lost for being short. Of the lost, `not_begun` are those whose event did not
    reach the performer: JACK drops what a client that is late, the recorder too, has not passed on in its period.

    Memory is counted from the end of the warm-up on, for every process and its host: what each has for itself. The
    latents of onsets, which have a byte budget of their own, are told apart from what is asked; onsets themselves lie
    in shared memory, whose size is fixed.
    """
    settings = bench.settings
    n_wanted, shortest = settings.n_soak_notes, 2 * bench.jack.period_frames + 1
    warm_up_s = min(_WARM_UP_S, _WARM_UP_SHARE * n_wanted / settings.pace)
    bank = [load_preset(name) for name in _BANK]
    with recorder() as tape, play_with(bank, bench) as stage:
        tape.meanwhile = stage.poll  # what the engine says must not pile up in its host
        stage.wait_for_onsets(_ONSETS, limit_s=_ONSETS_LIMIT_S)
        tape.settle()
        playing = _Playing(stage, tape, settings.pace, shortest)
        playing.play(max(round(warm_up_s * settings.pace), 1))
        stage.wait(_OVER_S)  # its last notes belong to the warm-up
        warm, before = stage.memory(), stage.meter()
        playing = _Playing(stage, tape, settings.pace, shortest)
        while playing.asked < n_wanted:
            playing.play(min(round(_TAKE_S * settings.pace), n_wanted - playing.asked))
        stage.wait(_OVER_S)
        after, grown = stage.meter(), _growth(warm, stage.memory())
        quiet = tape.play([], 0.5)
    latents_mb = (after.latents_bytes - before.latents_bytes) / _BYTES_PER_MB
    counted = _counted(playing.asked, before, after)
    grown_mb = sum(memory.own for memory in grown.values()) - latents_mb
    return counted | {
        "notes_a_second": playing.asked / playing.seconds, "seconds": playing.seconds, "warm_up_s": warm_up_s,
        "sounding_after": float(np.abs(quiet.audio).max()), "recorder_gaps": playing.gaps, "n_steps": after.n_steps,
        "memory_grown_mb": {name: {"own": memory.own, "shared": memory.shared} for name, memory in grown.items()},
        "latents_grown_mb": latents_mb, "onsets_grown_mb": (after.cache_bytes - before.cache_bytes) / _BYTES_PER_MB,
        "own_memory_course": playing.course(),
        "asked_memory_mb": {"figure": grown_mb, "at_most": _GROWTH_MB, "met": grown_mb <= _GROWTH_MB},
        "asked_stuck": {"figure": after.voices, "at_most": 0, "met": after.voices == 0},
        "asked_lost": {"figure": counted["lost"], "at_most": 0, "met": counted["lost"] == 0},
    }  # fmt: skip


def _counted(asked: int, before: LiveMeter, after: LiveMeter) -> dict[str, int]:
    """What became of `asked` notes between two readings of the meter, once all are over."""
    sung = after.heard_notes - before.heard_notes
    stolen = after.stolen_unheard - before.stolen_unheard
    return {
        "asked": asked, "sung": sung, "stolen_unheard": stolen, "lost": asked - sung - stolen,
        "not_begun": asked - (after.notes - before.notes), "stolen_voices": after.stolen_voices - before.stolen_voices,
        "hits": after.cache_hits - before.cache_hits, "misses": after.cache_misses - before.cache_misses,
        "zero_frames": after.zero_frames - before.zero_frames,
        "late_periods": after.device_under_runs - before.device_under_runs,
        "late_model_frames": after.late_frames - before.late_frames,
    }  # fmt: skip


def _growth(before: Mapping[str, ProcessMemory], after: Mapping[str, ProcessMemory]) -> dict[str, ProcessMemory]:
    """What each process that is there now has more than before; all of it where there was none of its name."""
    none = ProcessMemory(0.0, 0.0)
    was = {name: before.get(name, none) for name in after}
    return {
        name: ProcessMemory(memory.own - was[name].own, memory.shared - was[name].shared)
        for name, memory in after.items()
    }


class _Playing:
    """Take after take of the same hands.

    asked     notes so far
    seconds   since it was made, what lies between takes included
    gaps      how often the recorder was late; then a note comes later, and none is lost
    """

    def __init__(self, stage: Stage, tape: Recorder, pace: float, shortest: int) -> None:
        self._stage, self._tape, self._pace, self._shortest = stage, tape, pace, shortest
        self._started_s = time.monotonic()
        self._own_mb: list[tuple[float, float]] = []
        self.asked = self.gaps = 0
        self.seconds = 0.0

    def play(self, n_notes: int) -> None:
        """Play so many notes more."""
        score, seconds = hands(
            n_notes, notes_a_second=self._pace, n_programs=len(_BANK), shortest=self._shortest, seed=4 + self.asked
        )
        take = self._tape.play(score, seconds)
        self.asked, self.gaps = self.asked + n_notes, self.gaps + take.gaps
        self.seconds = time.monotonic() - self._started_s
        self._own_mb.append((self.seconds, sum(memory.own for memory in self._stage.memory().values())))

    def course(self) -> list[dict[str, float]]:
        """What all processes have for themselves, as it went."""
        every = -(-len(self._own_mb) // _TOLD)
        return [{"at_s": at_s, "own_mb": own_mb} for at_s, own_mb in self._own_mb[::every]]
