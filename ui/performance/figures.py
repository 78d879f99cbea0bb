"""The live meter's figures as the page writes them. What is not known is said to be unknown, never shown as 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.services import LiveMeter
from synth.spec import SAMPLE_RATE_HZ

UNKNOWN: Final = "unknown"
DRAWN_MS: Final = 160.0  # of sound in one draw: 16 frames of 10 ms
LATENCY_AIM_MS: Final = 10.0  # musicians notice more
_MINUS: Final = "\N{MINUS SIGN}"
_MB: Final = 2**20


class Tone(StrEnum):
    """How a figure is coloured."""

    PLAIN = "text"
    FAINT = "text_faint"
    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value as it is shown. share: of a bar, 0..1; None: no bar, or not known."""

    text: str
    tone: Tone = Tone.PLAIN
    share: float | None = None


_NOT_KNOWN: Final = Figure(UNKNOWN, Tone.FAINT)


def figures_of(meter: LiveMeter | None) -> dict[str, Figure]:
    """Every figure by name; all unknown where there is no meter."""
    if meter is None:
        return dict.fromkeys(FIGURES, _NOT_KNOWN)
    return _latencies(meter) | _losses(meter) | _stages(meter) | _voices(meter) | _onsets(meter) | _limiter(meter)


def _latencies(meter: LiveMeter) -> dict[str, Figure]:
    device_ms, block = meter.device_latency_ms, meter.block_frames
    percentiles = (meter.latency_p50_ms, meter.latency_p95_ms, meter.latency_p99_ms)
    late = [Tone.PLAIN if ms <= LATENCY_AIM_MS else Tone.WARNING for ms in percentiles]
    return {
        "p50": _ms(percentiles[0], late[0]),
        "p95": _ms(percentiles[1], late[1]),
        "p99": _ms(percentiles[2], late[2]),
        "engine latency": _ms(meter.engine_latency_ms or math.nan),
        "device latency": _ms(device_ms),
        "period": Figure(f"{block} · {1e3 * block / SAMPLE_RATE_HZ:.1f} ms") if block else _NOT_KNOWN,
    }


def _losses(meter: LiveMeter) -> dict[str, Figure]:
    has_run = meter.block_frames > 0
    lost = {
        "under-runs": meter.under_runs,
        "zero frames": meter.zero_frames,
        "device under-runs": meter.device_under_runs,
        "late frames": meter.late_frames,
        "lost notes": meter.lost_notes,
        "stolen voices": meter.stolen_voices,
    }
    return {name: _count(number) if has_run else _NOT_KNOWN for name, number in lost.items()}


def _stages(meter: LiveMeter) -> dict[str, Figure]:
    block_ms = 1e3 * meter.block_frames / SAMPLE_RATE_HZ
    return {
        "draw": _stage(meter.draw_ms, DRAWN_MS),
        "frames": _stage(meter.frames_ms, None),
        "block": _stage(meter.block_ms, block_ms),
        "callback": _stage(meter.callback_ms, block_ms),
    }


def _voices(meter: LiveMeter) -> dict[str, Figure]:
    allowed = meter.max_voices
    is_playing = meter.state == "playing"
    return {
        "voices": Figure(str(meter.voices)),
        "allowed": Figure("all", Tone.GOOD) if allowed is None else Figure(str(allowed), Tone.WARNING),
        "jumps": Figure(str(meter.n_steps), Tone.WARNING if meter.n_steps == 1 else Tone.PLAIN)
        if meter.n_steps
        else _NOT_KNOWN,
        "sampler load": _load(meter.sampler_load) if is_playing else _NOT_KNOWN,
        "performer load": _load(meter.performer_load) if is_playing else _NOT_KNOWN,
        "notes": Figure(f"{meter.notes:,}"),
        "tempo": Figure(f"{meter.tempo_bpm:.1f} bpm") if meter.tempo_bpm > 0.0 else Figure("no clock", Tone.FAINT),
    }


def _onsets(meter: LiveMeter) -> dict[str, Figure]:
    begun = meter.cache_hits + meter.cache_misses
    hits = Figure(f"{meter.cache_hits:,} of {begun:,}", share=meter.cache_hits / begun) if begun else _NOT_KNOWN
    return {
        "preset onsets": _made(meter.preset_made, meter.preset_wanted),
        "bank onsets": _made(meter.cache_made, meter.cache_wanted),
        "cache bytes": _budget(meter.cache_bytes, meter.cache_limit_bytes),
        "hits": hits,
        "misses": _count(meter.cache_misses) if begun else _NOT_KNOWN,
    }


def _limiter(meter: LiveMeter) -> dict[str, Figure]:
    worked = meter.limiter_db < 0.0
    return {
        "limiter": Figure(f"{_signed(meter.limiter_db)} dB", Tone.WARNING) if worked else Figure("at rest"),
        "limited blocks": _count(meter.limited_blocks) if meter.block_frames else _NOT_KNOWN,
    }


def _ms(value_ms: float, tone: Tone = Tone.PLAIN) -> Figure:
    if math.isnan(value_ms):
        return _NOT_KNOWN
    return Figure(f"{value_ms:.1f} ms" if value_ms < 100.0 else f"{value_ms:.0f} ms", tone)


def _stage(value_ms: float, budget_ms: float | None) -> Figure:
    """Time a stage takes, and its share of the time it may take."""
    if math.isnan(value_ms) or value_ms <= 0.0:
        return _NOT_KNOWN
    text = f"{value_ms:.2f} ms" if value_ms < 10.0 else f"{value_ms:.0f} ms"
    if not budget_ms:
        return Figure(text)
    share = value_ms / budget_ms
    return Figure(text, _tone_of(share), min(share, 1.0))


def _load(cores: float) -> Figure:
    return Figure(f"{100.0 * cores:.0f} %", _tone_of(cores), min(cores, 1.0))


def _tone_of(share: float) -> Tone:
    return Tone.DANGER if share > 1.0 else Tone.WARNING if share > 0.85 else Tone.PLAIN


def _count(number: int) -> Figure:
    return Figure(f"{number:,}", Tone.WARNING if number else Tone.GOOD)


def _made(made: int, wanted: int) -> Figure:
    if not wanted:
        return _NOT_KNOWN
    return Figure(f"{made} of {wanted}", Tone.GOOD if made >= wanted else Tone.PLAIN, min(made / wanted, 1.0))


def _budget(used: int, limit: int) -> Figure:
    """Bytes in use and allowed."""
    return Figure(f"{used / _MB:.0f} of {limit / _MB:.0f} MiB", share=min(used / limit, 1.0)) if limit else _NOT_KNOWN


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", _MINUS)


FIGURES: Final = (
    "p50", "p95", "p99", "engine latency", "device latency", "period",
    "under-runs", "zero frames", "device under-runs", "late frames", "lost notes", "stolen voices",
    "draw", "frames", "block", "callback",
    "voices", "allowed", "jumps", "sampler load", "performer load", "notes", "tempo",
    "preset onsets", "bank onsets", "cache bytes", "hits", "misses", "limiter", "limited blocks",
)  # fmt: skip
