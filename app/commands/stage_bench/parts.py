"""The parts of `stridor bench live`: each plays a score, records it and reads one figure of the table off it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.disturbance import Noise, busy_process, end, silent_client
from app.commands.stage_bench.player import BenchSettings, hard_preset, play_with
from app.commands.stage_bench.rig import JackServer, Score, recorder
from app.commands.stage_bench.scores import ALL_SOUND_OFF, LEAD, dense, latencies, struck_notes, twins
from app.store.presets import load_preset
from synth.spec.audio import SAMPLE_RATE_HZ

_S: Final = SAMPLE_RATE_HZ


Part = Callable[[JackServer, BenchSettings], dict[str, Any]]


def onset(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Note-on to sound where the onset is made ahead; events at every place within a period."""
    with recorder() as tape, play_with([hard_preset()], settings) as stage:
        made = stage.wait_for_onsets(200)
        score, events = struck_notes(settings.n_notes, keys=(57, 60, 64, 67), seed=1)
        found, silent, unseen = latencies(tape, score, events)
        meter = stage.meter()
    figures = analysis.spread_ms(found)
    return figures | {
        "silent": silent, "unseen": unseen, "onsets_made": made, "hits": meter.cache_hits,
        "misses": meter.cache_misses, "told_p99_ms": meter.latency_p99_ms, "zero_frames": meter.zero_frames,
        "asked": analysis.verdict(figures, "p99_ms", 8.0),
        "asked_jitter": analysis.verdict(figures, "p99_minus_p1_ms", 3.0),
    }  # fmt: skip


def miss(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Note-on to sound where nothing was made ahead: before every note, breathiness goes where it has not been."""
    rng = np.random.default_rng(2)
    with recorder() as tape, play_with([hard_preset()], settings) as stage:
        stage.wait_for_onsets(200)
        score: Score = []
        events: list[int] = []
        at = LEAD
        for index in range(max(settings.n_notes // 6, 20)):
            value = int((index % 2) * 64 + rng.integers(0, 60))
            score += [(at - 960, bytes((0xB0, 2, value))), (at, bytes((0x90, 50 + index % 20, 96)))]
            score += [(at + 9600, bytes((0x80, 50 + index % 20, 0))), (at + 14_400, ALL_SOUND_OFF)]
            events.append(at)
            at += 19_200 + int(rng.integers(0, 128))
        before = stage.meter()
        found, silent, unseen = latencies(tape, score, events)
        after = stage.meter()
    figures = analysis.spread_ms(found)
    return figures | {
        "silent": silent, "unseen": unseen, "misses": after.cache_misses - before.cache_misses,
        "hits": after.cache_hits - before.cache_hits, "draw_ms": after.draw_ms, "frames_ms": after.frames_ms,
        "asked": analysis.verdict(figures, "p95_ms", 60.0),
    }  # fmt: skip


def bend(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Pitch bend to heard pitch: twin notes of one seed, one of them bent by two semitones."""
    key, f0_hz = 60, 261.63
    found, silent, unseen, notes = twins(settings, key, bytes((0xE0, 127, 127)), f0_hz=f0_hz)
    figures = analysis.spread_ms(found)
    return figures | {
        "not_found": silent,
        "unseen": unseen,
        **notes,
        "asked": analysis.verdict(figures, "p95_ms", 15.0),
    }


def lanes(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Breathiness and roughness to heard change: where twins part by more than they do unmoved."""
    result: dict[str, Any] = {}
    for name, control in (("roughness", 1), ("breathiness", 2)):
        found, silent, unseen, notes = twins(settings, 57, bytes((0xB0, control, 110)), f0_hz=None)
        figures = analysis.spread_ms(found)
        result[name] = figures | {
            "not_found": silent, "unseen": unseen, **notes, "asked": analysis.verdict(figures, "p95_ms", 60.0)
        }  # fmt: skip
    return result


def under_runs(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Dense playing beside rendering, a busy loop and forced collections; then a C client that plays silence."""
    with recorder() as tape, play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(200)
        busy, noise = busy_process(), Noise()
        before = stage.meter()
        try:
            take = tape.play(dense(settings.seconds, n_voices=4, seed=3), settings.seconds)
        finally:
            noise.end()
            end(busy)
        after = stage.meter()
    ours = {
        "late_blocks": after.under_runs - before.under_runs,
        "zero_frames": after.zero_frames - before.zero_frames,
        "late_periods": after.device_under_runs - before.device_under_runs,
        "recorder_gaps": take.gaps, "notes": after.notes - before.notes, "lost_notes": after.lost_notes,
        "late_model_frames": after.late_frames - before.late_frames, "n_steps": after.n_steps,
        "max_voices": after.max_voices, "performer_load": after.performer_load, "sampler_load": after.sampler_load,
    }  # fmt: skip
    busy, noise = busy_process(), Noise()
    try:
        silent = silent_client(settings.seconds)
    finally:
        noise.end()
        end(busy)
    met = ours["late_periods"] <= silent["late_periods"] and ours["zero_frames"] == 0
    return {"seconds": settings.seconds, "ours": ours, "silent_c_client": silent, "met": met}


def voices(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """How many held voices sound without a late block, and at what quality."""
    runs = []
    with recorder() as tape, play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(200)
        for n_voices in (1, 2, 4, 6, 8, 12, 16):
            before = stage.meter()
            score: Score = [(LEAD + 37 * i, bytes((0x90, 45 + 3 * i, 96))) for i in range(n_voices)]
            end = LEAD + 5 * _S
            score += [(end + i, bytes((0x80, 45 + 3 * i, 0))) for i in range(n_voices)]
            tape.play(score, 6.0)
            after = stage.meter()
            runs.append(
                {
                    "voices": n_voices, "zero_frames": after.zero_frames - before.zero_frames,
                    "late_model_frames": after.late_frames - before.late_frames,
                    "stolen": after.stolen_voices - before.stolen_voices, "n_steps": after.n_steps,
                    "performer_load": after.performer_load, "sampler_load": after.sampler_load,
                    "block_ms": after.block_ms,
                }
            )  # fmt: skip
            if runs[-1]["zero_frames"] or runs[-1]["stolen"]:
                break
            stage.wait(0.5)
    kept = [run["voices"] for run in runs if not run["zero_frames"] and not run["stolen"]]
    return {"runs": runs, "sustained": max(kept, default=0), "asked": {"at_least": 4, "met": max(kept, default=0) >= 4}}


def programs(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """A program change, and a note of the new preset in the same instant; a held note must not notice."""
    bank = [hard_preset("shout"), hard_preset("scream"), hard_preset("throat")]
    with recorder() as tape, play_with(bank, settings) as stage:
        made = stage.wait_for_onsets(300)
        score: Score = []
        events: list[int] = []
        at = LEAD
        for index in range(max(settings.n_notes // 10, 10)):
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
        "silent": silent, "unseen": unseen, "onsets_made": made, "zero_frames": meter.zero_frames,
        "quietest_20_ms_of_held_note_db": float(20 * np.log10(max(level.min(), 1e-9) / max(level.max(), 1e-9))),
        "asked": analysis.verdict(figures, "p95_ms", 20.0),
    }  # fmt: skip


def device(jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """The audio device is killed and comes back while a note is held: when it sounds again, with nothing done."""
    with play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(100)
        stage.session.note_on(57.0, 96)
        stage.wait(2.0)
        times = []
        for _ in range(3):
            jack.kill()
            stage.wait(1.0)
            jack.start()
            back_at_s = time.monotonic()
            while time.monotonic() < back_at_s + 20.0:
                stage.wait(0.05)
                if stage.sound.available and stage.sound.level_db[0] > -60.0:
                    break
            times.append(time.monotonic() - back_at_s)
            stage.wait(2.0)
        jack.stop()
    return {"seconds_to_sound": times, "asked": {"figure": max(times), "at_most": 2.0, "met": max(times) <= 2.0}}


def sampler(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """The sampler is killed while a note is held: sound fades, and comes back by itself."""
    import psutil

    with recorder() as tape, play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(50)
        stage.session.note_on(57.0, 96)
        stage.wait(1.0)
        pid = stage.session.engine.pids["sampler"]
        psutil.Process(pid).kill()
        killed_at_s = time.monotonic()
        take = tape.play([], 1.5)
        steepest = float(np.abs(np.diff(take.audio)).max())
        while time.monotonic() < killed_at_s + 90.0:
            stage.wait(0.1)
            if stage.session.engine.is_sampling and stage.sound.level_db[0] > -50.0:
                break
        back_s = time.monotonic() - killed_at_s
        meter = stage.meter()
    return {
        "largest_step_while_fading": steepest, "seconds_to_sound": back_s, "zero_frames": meter.zero_frames,
        "state": meter.state,
    }  # fmt: skip


def soak(_jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Dense random playing, storms of control changes among it: memory, notes lost, notes stuck."""
    with recorder() as tape, play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(400, limit_s=30.0)
        tape.play(dense(5.0, n_voices=6, seed=4), 5.0)
        before, memory_mb = stage.meter(), stage.memory_mb()
        score = dense(settings.seconds, n_voices=6, seed=5)
        rng = np.random.default_rng(6)
        score += [(int(at), bytes((0xB0, 1, int(rng.integers(0, 127))))) for at in rng.integers(_S, 3 * _S, 5000)]
        score.sort(key=lambda event: event[0])
        take = tape.play(score, settings.seconds + 2.0)
        stage.wait(3.0)
        after = stage.meter()
        grown_mb = stage.memory_mb() - memory_mb
    tail = float(np.abs(take.audio[-_S // 4 :]).max())
    figures = {"memory_growth_mb": grown_mb}
    return {
        "seconds": settings.seconds,
        "notes": after.notes - before.notes,
        "lost_notes": after.lost_notes - before.lost_notes,
        "stuck_voices": after.voices,
        "sounding_after": tail,
        "events": after.events - before.events,
        "zero_frames": after.zero_frames - before.zero_frames,
        "recorder_gaps": take.gaps,
        "asked": analysis.verdict(figures, "memory_growth_mb", 30.0),
    }  # fmt: skip


def seams(jack: JackServer, settings: BenchSettings) -> dict[str, Any]:
    """Held notes: are samples at the seams of blocks and of drawn stretches steeper than elsewhere?"""
    with recorder() as tape, play_with([load_preset("growl")], settings) as stage:
        stage.wait_for_onsets(100)
        take = tape.play([(LEAD, bytes((0x90, 57, 96))), (LEAD + 9 * _S, bytes((0x80, 57, 0)))], 9.5)
    body = take.audio[LEAD + _S : LEAD + 8 * _S]
    begin = LEAD + 2 * jack.period_frames - (LEAD + _S)
    from app.live.stage.sampling import BLOCK_FRAMES
    from synth.spec.audio import HOP_SAMPLES
    from synth.streaming.onsets import ONSET_FRAMES

    blocks = np.arange(-begin % jack.period_frames, len(body), jack.period_frames)
    first = begin + ONSET_FRAMES * HOP_SAMPLES
    draws = np.arange(first, len(body), BLOCK_FRAMES * HOP_SAMPLES)
    return {
        "recorder_gaps": take.gaps,
        "blocks": analysis.seam_test(body, blocks),
        "draws": analysis.seam_test(body, draws[draws > 0]),
    }


PARTS: Final[dict[str, Part]] = {
    "onset": onset, "miss": miss, "bend": bend, "lanes": lanes, "under_runs": under_runs, "voices": voices,
    "programs": programs, "device": device, "sampler": sampler, "soak": soak, "seams": seams,
}  # fmt: skip
