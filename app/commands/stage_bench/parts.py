"""Parts of `stridor bench live` that ask how soon something is heard: each plays a score and reads its recording."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.player import Bench, hard_preset, play_with
from app.commands.stage_bench.rig import Score, recorder
from app.commands.stage_bench.scores import ALL_SOUND_OFF, LEAD, latencies, struck_notes, twins
from synth.spec.audio import SAMPLE_RATE_HZ

_S: Final = SAMPLE_RATE_HZ
BEND_KEY: Final = 60
_BEND_HZ: Final = 261.63
_LANE_KEY: Final = 57


def onset(bench: Bench) -> dict[str, Any]:
    """Note-on to sound where the onset is made ahead; events at every place within a period."""
    with recorder() as tape, play_with([hard_preset()], bench, has_window=True) as stage:
        tape.meanwhile = stage.poll
        made = stage.wait_for_onsets(200)
        tape.settle()
        before = stage.meter()
        score, events = struck_notes(bench.settings.n_notes, keys=(57, 60, 64, 67), seed=1)
        found, silent, unseen = latencies(tape, score, events)
        meter, window = stage.meter(), stage.window_figures()
    figures = analysis.spread_ms(found)
    return figures | {
        "silent": silent, "unseen": unseen, "onsets_made": made, "hits": meter.cache_hits,
        "misses": meter.cache_misses, "told_p99_ms": meter.latency_p99_ms,
        "zero_frames": meter.zero_frames - before.zero_frames, **window,
        "asked": analysis.verdict(figures, "p99_ms", 8.0),
        "asked_jitter": analysis.verdict(figures, "p99_minus_p1_ms", 3.0),
    }  # fmt: skip


def miss(bench: Bench) -> dict[str, Any]:
    """Note-on to sound where nothing was made ahead: before every note, breathiness goes where it has not been."""
    rng = np.random.default_rng(2)
    with recorder() as tape, play_with([hard_preset()], bench, has_window=True) as stage:
        tape.meanwhile = stage.poll
        stage.wait_for_onsets(200)
        tape.settle()
        score: Score = []
        events: list[int] = []
        at = LEAD
        for index in range(max(bench.settings.n_notes // 6, 20)):
            value = int((index % 2) * 64 + rng.integers(0, 60))
            score += [(at - 960, bytes((0xB0, 2, value))), (at, bytes((0x90, 50 + index % 20, 96)))]
            score += [(at + 9600, bytes((0x80, 50 + index % 20, 0))), (at + 14_400, ALL_SOUND_OFF)]
            events.append(at)
            at += 19_200 + int(rng.integers(0, 128))
        before = stage.meter()
        found, silent, unseen = latencies(tape, score, events)
        after, window = stage.meter(), stage.window_figures()
    figures = analysis.spread_ms(found)
    return figures | {
        "silent": silent, "unseen": unseen, "misses": after.cache_misses - before.cache_misses,
        "hits": after.cache_hits - before.cache_hits, "draw_ms": after.draw_ms, "frames_ms": after.frames_ms, **window,
        "asked": analysis.verdict(figures, "p95_ms", 60.0),
    }  # fmt: skip


def bend(bench: Bench) -> dict[str, Any]:
    """Pitch bend to heard pitch: twin notes of one seed, one of them bent by two semitones."""
    figures = twins(bench, BEND_KEY, bytes((0xE0, 127, 127)), f0_hz=_BEND_HZ)
    return figures | {"asked": analysis.verdict(figures, "p95_ms", 15.0)}


def lanes(bench: Bench) -> dict[str, Any]:
    """Breathiness and roughness to heard change: where twins part by more than they do unmoved."""
    result: dict[str, Any] = {}
    for name, control in (("roughness", 1), ("breathiness", 2)):
        figures = twins(bench, _LANE_KEY, bytes((0xB0, control, 110)), f0_hz=None)
        result[name] = figures | {"asked": analysis.verdict(figures, "p95_ms", 60.0)}
    return result


def programs(bench: Bench) -> dict[str, Any]:
    """A program change, and a note of the new preset in the same instant; a held note must not notice."""
    bank = [hard_preset("shout"), hard_preset("scream"), hard_preset("throat")]
    with recorder() as tape, play_with(bank, bench) as stage:
        made = stage.wait_for_onsets(300)
        tape.settle()
        before = stage.meter()
        score: Score = []
        events: list[int] = []
        at = LEAD
        for index in range(max(bench.settings.n_notes // 10, 10)):
            score += [(at, bytes((0xC0, index % len(bank)))), (at, bytes((0x90, 57, 96)))]
            score += [(at + 7200, bytes((0x80, 57, 0))), (at + 12_000, ALL_SOUND_OFF)]
            events.append(at)
            at += 16_800
        found, silent, unseen = latencies(tape, score, events)
        held: Score = [(LEAD, bytes((0x90, 50, 96)))]
        held += [(LEAD + _S + 4800 * i, bytes((0xC0, i % len(bank)))) for i in range(10)]
        held += [(LEAD + 3 * _S, bytes((0x80, 50, 0)))]
        take = tape.play(held, 4.0)
        meter = stage.meter()
    body = take.audio[LEAD + _S // 2 : LEAD + 2 * _S]
    level = np.sqrt(np.maximum(np.convolve(body**2, np.full(960, 1 / 960), mode="valid"), 0.0))
    figures = analysis.spread_ms(found)
    return figures | {
        "silent": silent, "unseen": unseen, "onsets_made": made, "zero_frames": meter.zero_frames - before.zero_frames,
        "quietest_20_ms_of_held_note_db": float(20 * np.log10(max(level.min(), 1e-9) / max(level.max(), 1e-9))),
        "asked": analysis.verdict(figures, "p95_ms", 20.0),
    }  # fmt: skip
