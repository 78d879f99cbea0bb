"""Where every channel's bend, pressure and slide stand, and what they come to inside MPE zones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from app.live.performance.voices import Voice
from app.midi.zones import N_CHANNELS, MpeZones

SLIDE_CENTRE: Final = 64 / 127


class Channels:
    """Sixteen channels' controls and the zones they belong to. One thread."""

    def __init__(self, zones: MpeZones) -> None:
        self.zones = zones
        self._bend = [0.0] * N_CHANNELS  # -1..1
        self._pressure: list[float | None] = [None] * N_CHANNELS  # None: never sent
        self._slide: list[float | None] = [None] * N_CHANNELS
        self._cents = [0.0] * N_CHANNELS  # of each channel by itself
        self._masters: list[int | None] = [None] * N_CHANNELS  # of members
        self.refresh()

    def refresh(self) -> None:
        """Take up what has changed in the zones."""
        for channel in range(N_CHANNELS):
            zone = self.zones.zone_of(channel)
            self._masters[channel] = None if zone is None or channel == zone.master else zone.master
            self._cents[channel] = 100.0 * self._bend[channel] * self.zones.bend_semitones(channel)

    def set_bend(self, channel: int, amount: float) -> None:
        self._bend[channel] = amount
        self._cents[channel] = 100.0 * amount * self.zones.bend_semitones(channel)

    def set_pressure(self, channel: int, amount: float) -> None:
        self._pressure[channel] = amount

    def set_slide(self, channel: int, amount: float) -> None:
        self._slide[channel] = amount

    def rest(self, channels: Iterable[int]) -> None:
        """As if nothing had been sent on these channels."""
        for channel in channels:
            self._bend[channel] = self._cents[channel] = 0.0
            self._pressure[channel] = self._slide[channel] = None

    def bend(self, channel: int) -> float:
        """-1..1, of the channel itself."""
        return self._bend[channel]

    def pressure(self, channel: int) -> float | None:
        """0..1; in a zone the stronger of the channel's own and the master's; None: never sent."""
        own = self._pressure[channel]
        master = self._masters[channel]
        if master is None or self._pressure[master] is None:
            return own
        return max(own or 0.0, self._pressure[master] or 0.0)

    def slide(self, channel: int) -> float | None:
        """0..1; in a zone the master's distance from the centre is added; None: never sent."""
        own = self._slide[channel]
        master = self._masters[channel]
        shift = None if master is None else self._slide[master]
        if shift is None:
            return own
        return min(max((SLIDE_CENTRE if own is None else own) + shift - SLIDE_CENTRE, 0.0), 1.0)

    def own_cents(self, channel: int) -> float:
        """The bend of the channel by itself."""
        return self._cents[channel]

    def cents(self, voice: Voice) -> float:
        """The bend a voice gets from its channel and zone; a detached one only follows the master."""
        channel = voice.channel
        if channel < 0:
            return 0.0
        own = self._cents[channel] if voice.is_attached else 0.0
        master = self._masters[channel]
        return own if master is None else own + self._cents[master]

    def scope(self, channel: int) -> frozenset[int]:
        """The channels a mode message on `channel` speaks of: all of the zone for its master, else this one."""
        zone = self.zones.zone_of(channel)
        return zone.channels if zone is not None and channel == zone.master else frozenset((channel,))
