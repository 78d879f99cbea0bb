"""A preset's gestures, played by hand: lanes and pitch move from each note's onset on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.live.stage import meter as fields
from app.midi.messages import ControlChange, NoteOff, NoteOn
from synth.engine import Engine
from synth.spec.lanes import LANE_IDS
from tests.app.live.stage.rig import BANK, StageRig
from tests.tiny_weights import tiny_engine

ROUGHNESS, PITCH = LANE_IDS.index("roughness"), LANE_IDS.index("pitch")
SWELLING = replace(
    BANK[0], id="swelling", gestures={"roughness": ((0.0, 0.0), (0.2, 0.8)), "bend": ((0.0, -2.0), (0.2, 0.0))}
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


def test_gestures_move_lanes_and_pitch_from_the_onset_and_hold(engine: Engine) -> None:
    rig = StageRig(engine, bank=(SWELLING,))
    try:
        rig.make_onsets()
        rig.feed(NoteOn(0.0, 0, 57, 96))
        rig.play(0.003)
        slot = int(np.flatnonzero(rig.memory.serial)[0])
        assert rig.meter.ints[fields.HITS] == 1, "the onset was made ahead from how the note begins"
        assert rig.memory.lanes[slot][ROUGHNESS] < 0.1
        assert rig.memory.lanes[slot][PITCH] == pytest.approx(55.0, abs=0.1)
        rig.play(0.1)
        assert rig.memory.lanes[slot][ROUGHNESS] == pytest.approx(0.4, abs=0.06)
        assert rig.memory.lanes[slot][PITCH] == pytest.approx(56.0, abs=0.1)
        rig.play(0.3)
        assert rig.memory.lanes[slot][ROUGHNESS] == pytest.approx(0.8, abs=0.01)
        assert rig.memory.lanes[slot][PITCH] == pytest.approx(57.0, abs=0.01)
        assert rig.meter.ints[fields.STARVED] == 0
        rig.feed(ControlChange(0.0, 0, 1, 0))
        rig.play(0.05)
        assert rig.memory.lanes[slot][ROUGHNESS] < 0.2, "hands stand before gestures"
        rig.feed(NoteOff(0.0, 0, 57))
        rig.play(0.4)
    finally:
        rig.close()
