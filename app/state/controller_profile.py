"""How one controller plays the instrument: what its controls move, and how its keys are taken.

Immutable, checked when made. Files are read in app/store/controller_profiles.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from app.state.passage import check_number, lane_range
from app.state.places import PlacedError, at
from app.state.response import LEVEL, LINEAR, ResponseCurve
from synth.spec.lanes import LANES

MODES: Final = ("set", "offset")
POLARITIES: Final = ("unipolar", "bipolar")
TAKEOVERS: Final = ("jump", "pickup", "scale")
PLAYING: Final = ("poly", "mono", "legato")
PRIORITIES: Final = ("last", "highest", "lowest")
STEALING: Final = ("oldest", "quietest")
GLIDES: Final = ("off", "time", "rate", "approach")

NOTE_SOURCES: Final = ("velocity", "release_velocity", "key", "poly_pressure", "mpe_pressure", "mpe_slide")
CHANNEL_SOURCES: Final = ("channel_pressure", "pitch_bend")
_NUMBERED: Final = re.compile(r"(cc|nrpn)(0|[1-9][0-9]{0,4})")
# Bank select, data entry and its kin, parameter numbers, channel mode messages: these have a meaning of their own.
RESERVED_CONTROLS: Final = frozenset((0, 6, 32, 38, *range(96, 102), *range(120, 128)))
MAX_POLYPHONY: Final = 128
MAX_SMOOTHING_S: Final = 5.0
MAX_GLIDE_S: Final = 10.0
MAX_BINDINGS: Final = 512
_OFFSET_LIMIT: Final = 200.0  # no lane is wider
_USUAL_SMOOTHING_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Binding:
    """One control moves one lane.

    source          cc<n>, nrpn<n>, channel_pressure, poly_pressure, pitch_bend, mpe_pressure, mpe_slide, velocity,
                    release_velocity or key
    lane            a lane of the lane table, or adapter.<id>.<region>
    low, high       the lane's value (or offset) at the control's two ends; low above high turns it round
    mode            set: the lane is what the control says; offset: it is added to what the lane would be
    polarity        bipolar: the curve is applied on both sides of the control's centre
    takeover        of cc and nrpn that set. jump: at once. pickup: once the control passes the lane's value.
                    scale: the lane moves with the control, in proportion, until they meet
    smoothing_s     time constant of the approach to a new value
    """

    source: str
    lane: str
    low: float
    high: float
    mode: str = "set"
    curve: ResponseCurve = LINEAR
    polarity: str = "unipolar"
    takeover: str = "jump"
    smoothing_s: float = _USUAL_SMOOTHING_S

    def __post_init__(self) -> None:
        check_source(self.source)
        with at("lane"):
            low, high = lane_range(self.lane)
        _check_choice(self.mode, MODES, "mode")
        _check_choice(self.polarity, POLARITIES, "polarity")
        _check_choice(self.takeover, TAKEOVERS, "takeover")
        if self.mode == "offset":
            low, high = -_OFFSET_LIMIT, _OFFSET_LIMIT
        check_number(self.low, low, high, "low")
        check_number(self.high, low, high, "high")
        check_number(self.smoothing_s, 0.0, MAX_SMOOTHING_S, "smoothing_s")
        if self.lane == "bend" and self.source == "pitch_bend":
            raise PlacedError("source", "pitch bend is bound to bend by bends_pitch.", remedy="Remove this binding.")
        if self.lane == "bend" and self.mode == "set":
            raise PlacedError("mode", "bend always adds.", remedy='Use "offset".')
        if self.takeover != "jump" and (self.mode == "offset" or not _NUMBERED.fullmatch(self.source)):
            raise PlacedError("takeover", "only cc and nrpn that set a lane can wait for it.", remedy='Use "jump".')

    def place(self, amount: float, centre: float = 0.5) -> float:
        """Where a control at `amount` 0..1 stands between `low` and `high`. -> 0..1"""
        if self.polarity == "unipolar":
            return self.curve.at(amount)
        if amount >= centre:
            return 0.5 + 0.5 * self.curve.at((amount - centre) / (1.0 - centre))
        return 0.5 - 0.5 * self.curve.at((centre - amount) / centre)

    def value(self, place: float) -> float:
        """The lane's value (or offset) at `place` 0..1."""
        return self.low + (self.high - self.low) * place

    @property
    def is_shared(self) -> bool:
        """Whether all voices follow it, as against the notes of one key or channel."""
        return _NUMBERED.fullmatch(self.source) is not None


@dataclass(frozen=True, slots=True)
class ControllerProfile:
    """One controller's profile, called as the controller is.

    bindings                what its controls move; several may move one lane
    bends_pitch             whether pitch bend bends the pitch
    bend_semitones          bend range outside MPE zones, 0..96, until RPN 0 says otherwise
    bend_smoothing_s        time constant of a bend, 0..5
    mpe_lower_members       members of the MPE zones that are in force before the controller says so itself, 0..15;
    mpe_upper_members       together at most 14 unless one of them is 0
    velocity_curve          from the keyboard's velocity to the note's
    fixed_velocity          1..127, or None: as played
    polyphony               1..128 voices, release tails included
    stealing                which held note yields when there are too many: the oldest or the quietest. Release tails
                            yield first, then notes only a pedal holds
    playing                 poly; mono: one note, each struck; legato: one note, overlapping keys only move its pitch
    priority                which of several held keys a mono instrument plays
    glide                   off; time: every interval takes glide_s; rate: glide_semitones_per_s; approach: like a
                            falling spring, glide_s is its time constant. In poly, from the note struck before
    panic_cc                control change that silences everything, or None
    """

    name: str
    bindings: tuple[Binding, ...] = ()
    bends_pitch: bool = True
    bend_semitones: float = 2.0
    bend_smoothing_s: float = 0.002
    mpe_lower_members: int = 0
    mpe_upper_members: int = 0
    velocity_curve: ResponseCurve = LINEAR
    fixed_velocity: int | None = None
    polyphony: int = 16
    stealing: str = "oldest"
    playing: str = "poly"
    priority: str = "last"
    glide: str = "off"
    glide_s: float = 0.08
    glide_semitones_per_s: float = 60.0
    panic_cc: int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 200:
            raise PlacedError("name", "a profile is called as its controller, 1 to 200 characters.")
        if len(self.bindings) > MAX_BINDINGS:
            raise PlacedError("bindings", f"{len(self.bindings)} bindings.", remedy=f"Use at most {MAX_BINDINGS}.")
        for index, binding in enumerate(self.bindings):
            if any((b.source, b.lane) == (binding.source, binding.lane) for b in self.bindings[:index]):
                raise PlacedError(f"bindings[{index}]", f"{binding.source} moves {binding.lane} twice.")
        check_number(self.bend_semitones, 0.0, 96.0, "bend_semitones")
        check_number(self.bend_smoothing_s, 0.0, MAX_SMOOTHING_S, "bend_smoothing_s")
        check_number(self.mpe_lower_members, 0, 15, "mpe_lower_members")
        check_number(self.mpe_upper_members, 0, 15, "mpe_upper_members")
        if self.mpe_lower_members and self.mpe_upper_members and self.mpe_lower_members + self.mpe_upper_members > 14:
            raise PlacedError("mpe_upper_members", "two zones share 14 members.", remedy="Make one of them smaller.")
        if self.fixed_velocity is not None:
            check_number(self.fixed_velocity, 1, 127, "fixed_velocity")
        check_number(self.polyphony, 1, MAX_POLYPHONY, "polyphony")
        for name, choices in (
            ("stealing", STEALING),
            ("playing", PLAYING),
            ("priority", PRIORITIES),
            ("glide", GLIDES),
        ):
            _check_choice(getattr(self, name), choices, name)
        check_number(self.glide_s, 0.0, MAX_GLIDE_S, "glide_s")
        check_number(self.glide_semitones_per_s, 0.1, 10_000.0, "glide_semitones_per_s")
        if self.panic_cc is not None:
            check_number(self.panic_cc, 0, 119, "panic_cc")
            if self.panic_cc in RESERVED_CONTROLS:
                raise PlacedError("panic_cc", f"control {self.panic_cc} has a meaning of its own.")
            if f"cc{self.panic_cc}" in (binding.source for binding in self.bindings):
                raise PlacedError("panic_cc", f"control {self.panic_cc} is bound to a lane as well.")

    def with_binding(self, binding: Binding) -> ControllerProfile:
        """With this binding, in place of one of the same source and lane."""
        kept = tuple(b for b in self.bindings if (b.source, b.lane) != (binding.source, binding.lane))
        return replace(self, bindings=(*kept, binding))

    def without_binding(self, source: str, lane: str) -> ControllerProfile:
        return replace(self, bindings=tuple(b for b in self.bindings if (b.source, b.lane) != (source, lane)))

    @property
    def single_controls(self) -> frozenset[int]:
        """Controls 32-63 that are bound by themselves, and so are no fine halves of 0-31."""
        numbers = {int(b.source[2:]) for b in self.bindings if b.source.startswith("cc")}
        return frozenset(number for number in (*numbers, self.panic_cc or 0) if 32 <= number < 64)


def check_source(source: str) -> None:
    """Raise PlacedError unless a control can be called `source`."""
    if source in NOTE_SOURCES or source in CHANNEL_SOURCES:
        return
    found = _NUMBERED.fullmatch(source)
    if found is None:
        known = ", ".join((*CHANNEL_SOURCES, *NOTE_SOURCES))
        raise PlacedError("source", f"{source!r} is no control.", remedy=f"Use cc1, nrpn12, {known}.")
    number = int(found[2])
    if number > (127 if found[1] == "cc" else 16382):
        raise PlacedError("source", f"there is no {source}.", remedy="Use cc1 to cc119 or nrpn0 to nrpn16382.")
    if found[1] == "cc" and number in RESERVED_CONTROLS:
        raise PlacedError("source", f"{source} has a meaning of its own.", remedy="Use another control.")


def default_profile(name: str) -> ControllerProfile:
    """The lane table's map, as for imported MIDI files, and MPE: pressure adds roughness, slide moves to the growl."""
    bindings = [
        Binding("cc7", "loudness", -60.0, 0.0, mode="offset", curve=LEVEL),
        Binding("mpe_pressure", "roughness", 0.0, 0.8, mode="offset"),
        Binding("mpe_slide", "technique.growl", -1.0, 1.0, mode="offset", polarity="bipolar"),
    ]
    for spec in LANES:
        if spec.midi_default is None or spec.midi_default == "pitch_bend":
            continue
        if spec.id == "loudness":
            bindings.append(Binding(spec.midi_default, spec.id, -60.0, 0.0, mode="offset", curve=LEVEL))
        else:
            bindings.append(Binding(spec.midi_default, spec.id, spec.minimum, spec.maximum))
    return ControllerProfile(name, tuple(bindings))


def _check_choice(value: str, choices: tuple[str, ...], place: str) -> None:
    if value not in choices:
        raise PlacedError(place, f"{value!r} is not known.", remedy=f"Use one of {', '.join(choices)}.")
