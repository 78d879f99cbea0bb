"""Controls move lanes: for all voices or for one, with soft takeover where the profile wants it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.live.performance.commands import ALL_VOICES, Command, OffsetLane, SetLane
from app.state.controller_profile import Binding, ControllerProfile
from app.state.passage import lane_range
from app.state.preset import Preset, technique_lane_default
from synth.spec.lanes import is_adapter_lane

MAX_LANES: Final = 256  # named for one voice, or for all: adapters that nobody has could be named without end
_NEAR: Final = 1.0 / 128.0  # of the control's travel: a knob this close has the value in hand
_NAMED_SMOOTHING_S: Final = 0.01  # of values that are set by name


@dataclass(slots=True)
class LaneState:
    """What controls say for one voice, or for ALL_VOICES."""

    voice: int
    lanes: dict[str, float] = field(default_factory=dict)  # set
    parts: dict[int, float] = field(default_factory=dict)  # what each offset binding adds, by its index
    bend_semitones: float = 0.0  # offsets of the lane bend; they are told as part of the pitch

    def offsets(self, bindings: tuple[Binding, ...]) -> dict[str, float]:
        """Lane -> sum of what is added to it. `bend` is left out."""
        sums: dict[str, float] = {}
        for index, part in self.parts.items():
            if bindings[index].lane != "bend":
                sums[bindings[index].lane] = sums.get(bindings[index].lane, 0.0) + part
        return sums


@dataclass(slots=True)
class _Grip:
    """Whether a soft control has its lane in hand, and where it stood."""

    place: float | None = None
    value: float | None = None  # what it set last; if the lane says otherwise, someone else has moved it


class ControlMap:
    """A profile's bindings at work. One thread."""

    def __init__(self, profile: ControllerProfile, preset: Preset) -> None:
        self._bindings: tuple[Binding, ...] = ()  # all there ever were: an index means one binding for good
        self._preset = preset
        self._by_source: dict[str, list[tuple[int, Binding]]] = {}
        self._bind(profile.bindings)
        self._grips: dict[int, _Grip] = {}
        self._jumped: set[str] = set()  # lanes that stand where a control stands
        self._named: set[str] = set()  # lanes that were set by name
        self.shared = LaneState(ALL_VOICES)

    def is_bound(self, source: str) -> bool:
        return source in self._by_source

    def apply(
        self, state: LaneState, source: str, amount: float, t_s: float, out: list[Command], *, centre: float = 0.5
    ) -> None:
        """A control of a note or channel stands at `amount` 0..1: move that voice's lanes."""
        for index, binding in self._by_source.get(source, ()):
            self._move(state, index, binding, self._value(binding, binding.place(amount, centre)), t_s, out)

    def apply_shared(self, source: str, amount: float, t_s: float, out: list[Command], *, centre: float = 0.5) -> None:
        """A control of all voices stands at `amount` 0..1; soft ones may have to wait."""
        for index, binding in self._by_source.get(source, ()):
            place: float | None = binding.place(amount, centre)
            if binding.takeover != "jump":
                place = self._taken_over(index, binding, place)
            elif binding.mode == "set":
                self._jumped.add(binding.lane)
            if place is not None:
                self._move(self.shared, index, binding, self._value(binding, place), t_s, out)

    def let_go(self, state: LaneState, source: str, t_s: float, out: list[Command]) -> None:
        """A control of a note or channel is as if it had never been touched."""
        for index, binding in self._by_source.get(source, ()):
            if binding.mode == "offset":
                self._move(state, index, binding, 0.0, t_s, out)
            elif state.lanes.pop(binding.lane, None) is not None:
                out.append(SetLane(t_s, state.voice, binding.lane, None, binding.smoothing_s))

    def set_lane(self, state: LaneState, lane_id: str, value: float | None, t_s: float, out: list[Command]) -> None:
        """Somebody names a lane and its value; None gives it back. Values are forced into the preset's range of it."""
        if value is None:
            if state.lanes.pop(lane_id, None) is not None:
                out.append(SetLane(t_s, state.voice, lane_id, None, _smoothing_s(lane_id)))
            return
        if lane_id not in state.lanes and len(state.lanes) >= MAX_LANES:
            return
        low, high = self._preset.lane_ranges.get(lane_id) or lane_range(lane_id)
        value = min(max(value, low), high)
        if state is self.shared:
            self._jumped.discard(lane_id)
            self._named.add(lane_id)
        if state.lanes.get(lane_id) != value:
            state.lanes[lane_id] = value
            out.append(SetLane(t_s, state.voice, lane_id, value, _smoothing_s(lane_id)))

    def set_preset(self, preset: Preset, t_s: float, out: list[Command]) -> None:
        """Lanes that were set by name or by soft controls are the preset's again; wheels and pedals keep theirs."""
        self._preset = preset
        for lane_id in [lane_id for lane_id in self.shared.lanes if lane_id not in self._jumped]:
            del self.shared.lanes[lane_id]
            out.append(SetLane(t_s, ALL_VOICES, lane_id, None, _smoothing_s(lane_id)))

    def use_bindings(
        self, bindings: Sequence[Binding], voices: Iterable[LaneState], t_s: float, out: list[Command]
    ) -> None:
        """Move lanes by these from now on. What bindings that are gone had moved is given back."""
        self._bind(bindings)
        active = {index for bound in self._by_source.values() for index, _ in bound}
        for state in (self.shared, *voices):
            for index in [index for index in state.parts if index not in active]:
                self._move(state, index, self._bindings[index], 0.0, t_s, out)
                del state.parts[index]
        moved = {self._bindings[index].lane for index in active if self._bindings[index].mode == "set"}
        for lane_id in [lane for lane in self.shared.lanes if lane not in moved and lane not in self._named]:
            del self.shared.lanes[lane_id]
            out.append(SetLane(t_s, ALL_VOICES, lane_id, None, _smoothing_s(lane_id)))
        self._jumped &= moved
        self._grips = {index: grip for index, grip in self._grips.items() if index in active}

    def rest(self, t_s: float, out: list[Command], *, keeps_named: bool) -> None:
        """As if no control of all voices had been touched; what was set by name stays, or goes too."""
        kept = {
            lane_id: value for lane_id, value in self.shared.lanes.items() if keeps_named and lane_id in self._named
        }
        for lane_id in self.shared.lanes:
            if lane_id not in kept:
                out.append(SetLane(t_s, ALL_VOICES, lane_id, None, _smoothing_s(lane_id)))
        for lane_id in self.shared.offsets(self._bindings):
            out.append(OffsetLane(t_s, ALL_VOICES, lane_id, 0.0, _smoothing_s(lane_id)))
        self.shared = LaneState(ALL_VOICES, kept)
        self._jumped.clear()
        self._grips.clear()

    def restate(self, t_s: float, out: list[Command]) -> None:
        """Tell what holds for all voices, to an engine that knows nothing."""
        for lane_id, value in self.shared.lanes.items():
            out.append(SetLane(t_s, ALL_VOICES, lane_id, value, 0.0))
        for lane_id, offset in self.shared.offsets(self._bindings).items():
            out.append(OffsetLane(t_s, ALL_VOICES, lane_id, offset, 0.0))

    def offsets(self, state: LaneState) -> dict[str, float]:
        return state.offsets(self._bindings)

    def _bind(self, bindings: Sequence[Binding]) -> None:
        self._by_source = {}
        for binding in bindings:
            if binding not in self._bindings:
                self._bindings = (*self._bindings, binding)
            self._by_source.setdefault(binding.source, []).append((self._bindings.index(binding), binding))

    def _move(
        self, state: LaneState, index: int, binding: Binding, value: float, t_s: float, out: list[Command]
    ) -> None:
        lane_id = binding.lane
        if binding.mode == "set":
            if state is self.shared:
                self._named.discard(lane_id)
            if state.lanes.get(lane_id) != value:
                state.lanes[lane_id] = value
                out.append(SetLane(t_s, state.voice, lane_id, value, binding.smoothing_s))
        elif state.parts.get(index, 0.0) != value:
            state.parts[index] = value
            total = sum(part for at, part in state.parts.items() if self._bindings[at].lane == lane_id)
            if lane_id == "bend":
                state.bend_semitones = total
            else:
                out.append(OffsetLane(t_s, state.voice, lane_id, total, binding.smoothing_s))

    def _taken_over(self, index: int, binding: Binding, place: float) -> float | None:
        """Where the lane goes, 0..1 of the binding's range; None: the control has not got it yet."""
        grip = self._grips.setdefault(index, _Grip())
        before, grip.place = grip.place, place
        now = self.shared.lanes.get(binding.lane)
        if grip.value is None or now != grip.value:
            grip.value = None
            current = self._preset_value(binding.lane) if now is None else now
            low, high = self._ends(binding)
            there = min(max((current - low) / (high - low), 0.0), 1.0) if high != low else place
            if binding.takeover == "pickup":
                has_passed = before is not None and (before - there) * (place - there) <= 0
                if not has_passed and abs(place - there) > _NEAR:
                    return None
            else:
                place = _scaled(before, place, there)
                if before is None or abs(place - grip.place) > _NEAR:
                    return None if before is None else place
                place = grip.place
        grip.value = self._value(binding, place)
        return place

    def _value(self, binding: Binding, place: float) -> float:
        """The lane's value (or offset) where the control stands at `place` 0..1 of its travel."""
        if binding.mode != "set" or binding.lane not in self._preset.lane_ranges:
            return binding.value(place)
        low, high = self._ends(binding)
        return low + (high - low) * place

    def _ends(self, binding: Binding) -> tuple[float, float]:
        """The lane at the control's two ends: of the preset's range where it has one, turned as the profile is."""
        limits = self._preset.lane_ranges.get(binding.lane) if binding.mode == "set" else None
        if limits is None:
            return binding.low, binding.high
        return limits if binding.low <= binding.high else (limits[1], limits[0])

    def _preset_value(self, lane_id: str) -> float:
        """What a lane is while nothing moves it: the preset, else its techniques' habits."""
        if lane_id in self._preset.lane_defaults:
            return self._preset.lane_defaults[lane_id]
        if is_adapter_lane(lane_id):
            return self._preset.adapter_strengths().get(lane_id, 0.0)
        if lane_id.startswith("technique."):
            return self._preset.technique.get(lane_id.removeprefix("technique."), 0.0)
        # As app.state.resolve weighs the habits of a mixture.
        modal = technique_lane_default(lane_id, "modal")
        weights = self._preset.technique
        habits = sum(weight * (technique_lane_default(lane_id, name) - modal) for name, weight in weights.items())
        return modal + habits / max(sum(weights.values()), 1.0)


def _scaled(before: float | None, place: float, there: float) -> float:
    """Move the lane as far towards the end the control goes to, in proportion to what is left of its travel."""
    if before is None or place == before:
        return there
    if place > before:
        return there + (1.0 - there) * (place - before) / (1.0 - before)
    return there - there * (before - place) / before


def _smoothing_s(lane_id: str) -> float:
    return 0.0 if lane_id == "pitch" else _NAMED_SMOOTHING_S
