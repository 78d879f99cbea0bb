"""MPE zones: which channel carries a note of its own, and what its bends mean.

After MIDI Polyphonic Expression 1.0 (MIDI Association, M1-100-UM): the lower zone is mastered by channel 1 and grows
upwards from channel 2, the upper zone by channel 16 and grows downwards from channel 15. The newest configuration
message wins: the other zone loses the channels it claims, and ends when it has none left. Channels are 0..15 here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOWER_MASTER: Final = 0
UPPER_MASTER: Final = 15
MAX_MEMBERS: Final = 15
MEMBER_BEND_SEMITONES: Final = 48.0
MASTER_BEND_SEMITONES: Final = 2.0
MAX_BEND_SEMITONES: Final = 96.0
N_CHANNELS: Final = 16


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone. Immutable."""

    master: int  # LOWER_MASTER or UPPER_MASTER
    n_members: int  # 1..15

    @property
    def members(self) -> range:
        """Its member channels, nearest to the master first."""
        if self.master == LOWER_MASTER:
            return range(1, 1 + self.n_members)
        return range(UPPER_MASTER - 1, UPPER_MASTER - 1 - self.n_members, -1)

    @property
    def channels(self) -> frozenset[int]:
        """Members and master."""
        return frozenset((self.master, *self.members))


class MpeZones:
    """The zones in force, and every channel's bend range in semitones."""

    def __init__(self, bend_semitones: float = MASTER_BEND_SEMITONES) -> None:
        """bend_semitones   of channels outside zones, until their own RPN 0 says otherwise"""
        self._default_bend = bend_semitones
        self._n_lower = 0
        self._n_upper = 0
        self._bend = [bend_semitones] * N_CHANNELS
        self._zone_of: list[Zone | None] = [None] * N_CHANNELS

    @property
    def lower(self) -> Zone | None:
        return Zone(LOWER_MASTER, self._n_lower) if self._n_lower else None

    @property
    def upper(self) -> Zone | None:
        return Zone(UPPER_MASTER, self._n_upper) if self._n_upper else None

    def zone_of(self, channel: int) -> Zone | None:
        """The zone `channel` belongs to, as master or member; None outside zones (the keyboard's -1 included)."""
        return self._zone_of[channel] if 0 <= channel < N_CHANNELS else None

    def is_member(self, channel: int) -> bool:
        """Whether notes on `channel` have their bend, pressure and slide to themselves."""
        zone = self.zone_of(channel)
        return zone is not None and channel != zone.master

    def is_master(self, channel: int) -> bool:
        zone = self.zone_of(channel)
        return zone is not None and channel == zone.master

    def bend_semitones(self, channel: int) -> float:
        return self._bend[channel] if 0 <= channel < N_CHANNELS else self._default_bend

    def configure(self, channel: int, n_members: int) -> frozenset[int]:
        """Take up an MPE configuration message -> channels whose notes must end and controls return to rest.

        Only channels 1 and 16 (0 and 15 here) may send one, with 0..15 members; anything else changes nothing.
        """
        if channel not in (LOWER_MASTER, UPPER_MASTER) or not 0 <= n_members <= MAX_MEMBERS:
            return frozenset()
        before = tuple(self._zone_of)
        if channel == LOWER_MASTER:
            self._n_lower = n_members
            self._n_upper = _left_over(self._n_upper, n_members)
        else:
            self._n_upper = n_members
            self._n_lower = _left_over(self._n_lower, n_members)
        self._zone_of = [None] * N_CHANNELS
        for zone in (self.lower, self.upper):
            if zone is not None:
                for member in zone.channels:
                    self._zone_of[member] = zone
        newest = self.lower if channel == LOWER_MASTER else self.upper
        renewed = {channel} if newest is None else newest.channels
        changed = frozenset(
            index
            for index in range(N_CHANNELS)
            if index in renewed or _role(before[index], index) != _role(self._zone_of[index], index)
        )
        for index in changed:
            self._bend[index] = self._resting_bend(index)
        return changed

    def set_bend_semitones(self, channel: int, semitones: float) -> frozenset[int]:
        """Take up RPN 0 -> the channels it applies to: any member's range is that of all members of its zone."""
        semitones = min(max(semitones, 0.0), MAX_BEND_SEMITONES)
        zone = self.zone_of(channel)
        applies = frozenset(zone.members) if zone is not None and channel != zone.master else frozenset((channel,))
        for index in applies:
            self._bend[index] = semitones
        return applies

    def reset(self) -> None:
        """No zones, every range at its default."""
        self._n_lower = self._n_upper = 0
        self._zone_of = [None] * N_CHANNELS
        self._bend = [self._default_bend] * N_CHANNELS

    def _resting_bend(self, channel: int) -> float:
        zone = self._zone_of[channel]
        if zone is None:
            return self._default_bend
        return MASTER_BEND_SEMITONES if channel == zone.master else MEMBER_BEND_SEMITONES


def _left_over(n_other: int, n_claimed: int) -> int:
    """Members the other zone keeps: 16 channels hold both masters and at most 14 members of two zones."""
    return min(n_other, max(N_CHANNELS - 2 - n_claimed, 0)) if n_claimed else n_other


def _role(zone: Zone | None, channel: int) -> tuple[int, bool] | None:
    return None if zone is None else (zone.master, channel == zone.master)
