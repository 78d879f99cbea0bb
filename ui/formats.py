"""Numbers as the window writes them."""

from __future__ import annotations

from synth.spec import LaneSpec

_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_MINUS = "\N{MINUS SIGN}"


def note_name(note: float) -> str:
    """A MIDI number as a name with cents: 57.25 -> 'A3 +25'."""
    whole = round(note)
    cents = round((note - whole) * 100)
    name = f"{_NAMES[whole % 12]}{whole // 12 - 1}"
    return name if cents == 0 else f"{name} {'+' if cents > 0 else _MINUS}{abs(cents)}"


def value_label(spec: LaneSpec, value: float) -> str:
    """A lane's value with its unit."""
    if spec.id == "pitch":
        return note_name(value)
    if spec.unit == "dB":
        return f"{value:.1f} dB".replace("-", _MINUS)
    if spec.unit == "semitones":
        return f"{value:+.2f} st".replace("-", _MINUS)
    return f"{value:.2f}"


def range_label(spec: LaneSpec) -> str:
    """A lane's range with its unit, as its header shows it."""
    low, high = f"{spec.minimum:g}".replace("-", _MINUS), f"{spec.maximum:g}"
    if spec.unit == "dB":
        return f"{low} … {high.replace('-', _MINUS)} dB"
    return f"{low} … {high}{' st' if spec.unit == 'semitones' else ''}"


def error_label(spec: LaneSpec, error: float | None) -> str:
    """How far the sound is from what was asked."""
    if error is None:
        return ""
    if spec.id == "pitch":
        return f"Δ {error:.0f} cents"
    if spec.unit == "dB":
        return f"Δ {error:.1f} dB"
    return f"Δ {error:.2f}"


def clock_label(t_s: float) -> str:
    """Minutes, seconds and hundredths."""
    minutes, seconds = divmod(max(t_s, 0.0), 60.0)
    return f"{int(minutes):02d}:{seconds:05.2f}"


def duration_label(t_s: float) -> str:
    """A waiting time, rounded for people."""
    if t_s < 1:
        return "< 1 s"
    if t_s < 90:
        return f"{t_s:.0f} s"
    return f"{t_s / 60:.0f} min"
