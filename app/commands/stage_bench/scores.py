"""Scores the bench plays, and how their recordings are read."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.player import BenchSettings, hard_preset, play_with
from app.commands.stage_bench.rig import Recorder, Score, recorder
from synth.spec.audio import SAMPLE_RATE_HZ

LEAD: Final = round(0.2 * SAMPLE_RATE_HZ)  # before the first event of a score
ALL_SOUND_OFF: Final = bytes((0xB0, 120, 0))
_S: Final = SAMPLE_RATE_HZ
_PERIOD_MOST: Final = 1024

# ---- scores


def struck_notes(n_notes: int, *, keys: tuple[int, ...], seed: int) -> tuple[Score, list[int]]:
    """Short notes, cut off before the next, that begin anywhere within a period -> score, event frames."""
    rng = np.random.default_rng(seed)
    score: Score = []
    events: list[int] = []
    at = LEAD
    for index in range(n_notes):
        key = keys[index % len(keys)]
        score += [(at, bytes((0x90, key, 96))), (at + 2400, bytes((0x80, key, 0))), (at + 4320, ALL_SOUND_OFF)]
        events.append(at)
        at += 6720 + int(rng.integers(0, 128))
    return score, events


def dense(seconds: float, *, n_voices: int, seed: int) -> Score:
    """Overlapping notes of n_voices hands, with wheels moving."""
    rng = np.random.default_rng(seed)
    score: Score = []
    end = round((seconds - 0.8) * _S)
    for hand in range(n_voices):
        at = LEAD + int(rng.integers(0, _S // 2))
        while at < end:
            key, length = int(36 + 8 * hand + rng.integers(0, 8)), int(rng.integers(4800, _S))
            score += [
                (at, bytes((0x90, key, int(rng.integers(30, 127))))),
                (min(at + length, end), bytes((0x80, key, 0))),
            ]
            at += length + int(rng.integers(480, 9600))
    for at in range(LEAD, end, 2400):
        wheel = int(63 + 50 * np.sin(at / _S))
        score += [(at, bytes((0xE0, 0, wheel))), (at + 7, bytes((0xB0, 1, wheel)))]
    score.append((end + 480, bytes((0xB0, 123, 0))))
    return sorted(score, key=lambda event: event[0])


# ---- measuring


def latencies(tape: Recorder, score: Score, events: list[int]) -> tuple[list[int], int, int]:
    """Play and measure -> (latencies in samples, notes that made no sound, notes the recorder was too late for)."""
    take = tape.play(score, (score[-1][0] + _S // 2) / _S)
    found: list[int] = []
    silent = unseen = 0
    for index, event in enumerate(events):
        end = events[index + 1] - 64 if index + 1 < len(events) else len(take.audio)
        latency = analysis.onset_after(take.audio, event, end)
        if not take.is_whole(event - _PERIOD_MOST, event + (latency or 0) + _PERIOD_MOST):
            unseen += 1
        elif latency is None:
            silent += 1
        else:
            found.append(latency)
    return found, silent, unseen


def twins(
    settings: BenchSettings, key: int, message: bytes, *, f0_hz: float | None
) -> tuple[list[int], int, int, dict[str, Any]]:
    """Notes of one seed in pairs, the second with `message` in its middle -> latencies of what it changes."""
    length, move_at, pitch = round(0.9 * _S), round(0.55 * _S), 2 * 48_000
    rest = bytes((0xE0, 0, 64)), bytes((0xB0, 121, 0))
    found: list[int] = []
    silent = unseen = 0
    floors: list[float] = []
    with recorder() as tape, play_with([hard_preset()], settings) as stage:
        stage.wait_for_onsets(200)
        for index in range(settings.n_twins):
            # The same place within the period for all three, another one for every pair.
            start = LEAD // 128 * 128 + 11 * index % 128
            shift = move_at + 17 * index % 128
            score: Score = []
            for turn in range(3):
                at = start + turn * pitch
                score += [(at - 4800, rest[0]), (at - 4700, rest[1]), (at, bytes((0x90, key, 96)))]
                if turn == 2:
                    score.append((at + shift, message))
                score += [(at + length, bytes((0x80, key, 0))), (at + length + 2400, ALL_SOUND_OFF)]
            take = tape.play(sorted(score, key=lambda event: event[0]), (start + 3 * pitch) / _S)
            # Twins are compared sample by sample; what is lost between them moves the next one as a whole.
            if not all(
                take.is_whole(at - _PERIOD_MOST, at + length) for at in (start, start + pitch, start + 2 * pitch)
            ):
                unseen += 1
                continue
            plain, again, moved = (take.audio[start + i * pitch : start + i * pitch + length] for i in range(3))
            floor = float(np.abs(plain - again).max())
            floors.append(floor)
            if f0_hz is not None:
                latency = analysis.bend_after(plain, moved, shift, f0_hz)
            else:
                loud = float(np.sqrt(np.mean(plain[shift - 4800 : shift] ** 2)))
                latency = analysis.difference_after(plain, moved, shift, max(3.0 * floor, 0.03 * loud))
            if latency is None:
                silent += 1
            else:
                found.append(latency)
    return found, silent, unseen, {"unmoved_twins_differ_by": float(np.median(floors)) if floors else 0.0}
