"""MPE zones after M1-100-UM, also when they contradict each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.midi.zones import MpeZones


def sizes(*configurations: tuple[int, int]) -> tuple[int, int]:
    zones = MpeZones()
    for channel, n_members in configurations:
        zones.configure(channel, n_members)
    return tuple(0 if zone is None else zone.n_members for zone in (zones.lower, zones.upper))  # pyright: ignore


@pytest.mark.parametrize(
    ("configurations", "lower_upper"),
    [
        ([], (0, 0)),
        ([(0, 15)], (15, 0)),
        ([(15, 15)], (0, 15)),
        ([(0, 7), (15, 7)], (7, 7)),
        ([(0, 10), (15, 7)], (7, 7)),  # the newest wins, the other shrinks
        ([(15, 10), (0, 6)], (6, 8)),
        ([(0, 15), (15, 3)], (11, 3)),
        ([(0, 3), (15, 14)], (0, 14)),  # no member is left: the zone ends
        ([(0, 3), (15, 15)], (0, 15)),
        ([(0, 15), (15, 0)], (15, 0)),  # ending a zone that is not there takes nothing away
        ([(0, 7), (15, 7), (0, 0)], (0, 7)),
        ([(0, 7), (5, 3)], (7, 0)),  # only channels 1 and 16 may configure
        ([(0, 7), (0, 16), (0, 127)], (7, 0)),
    ],
)
def test_configurations(configurations: list[tuple[int, int]], lower_upper: tuple[int, int]) -> None:
    assert sizes(*configurations) == lower_upper


def test_members_and_masters() -> None:
    zones = MpeZones()
    assert zones.configure(0, 3) == {0, 1, 2, 3}
    assert zones.configure(15, 2) == {13, 14, 15}
    assert [zones.is_member(channel) for channel in range(16)] == [0 < c < 4 or 12 < c < 15 for c in range(16)]
    assert [channel for channel in range(16) if zones.is_master(channel)] == [0, 15]
    assert zones.zone_of(8) is None
    assert zones.zone_of(-1) is None
    assert zones.configure(15, 13) == {*range(2, 16)}  # the lower zone keeps one member, which rings on
    assert zones.lower is not None
    assert list(zones.lower.members) == [1]


def test_bend_ranges() -> None:
    zones = MpeZones(bend_semitones=12.0)
    zones.set_bend_semitones(4, 7.0)
    assert [zones.bend_semitones(channel) for channel in (-1, 0, 4)] == [12.0, 12.0, 7.0]
    zones.configure(0, 5)
    assert [zones.bend_semitones(channel) for channel in (0, 1, 5, 6)] == [2.0, 48.0, 48.0, 12.0]
    assert zones.set_bend_semitones(3, 24.0) == {1, 2, 3, 4, 5}  # a member's range is all members'
    assert zones.set_bend_semitones(0, 200.0) == {0}
    assert [zones.bend_semitones(channel) for channel in (0, 1, 5, 6)] == [96.0, 24.0, 24.0, 12.0]
    zones.configure(0, 5)
    assert zones.bend_semitones(2) == 48.0


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 127))))
def test_zones_never_overlap(configurations: list[tuple[int, int]]) -> None:
    zones = MpeZones()
    for channel, n_members in configurations:
        changed = zones.configure(channel, n_members)
        claimed = [zone.channels for zone in (zones.lower, zones.upper) if zone is not None]
        assert len(frozenset().union(*claimed)) == sum(map(len, claimed))
        assert not changed or channel in changed
        if channel in (0, 15) and 0 < n_members < 16:
            newest = zones.lower if channel == 0 else zones.upper
            assert newest is not None
            assert newest.n_members == n_members
