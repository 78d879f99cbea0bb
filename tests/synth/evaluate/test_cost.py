"""What packing costs is told, and measuring it leaves the engine as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.evaluate.cost import packing_error
from synth.evaluate.singing import Singer
from tests.tiny_weights import tiny_engine


def test_packing_is_measured_against_the_plain_networks(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    if not engine.is_packed:
        pytest.skip("this processor plays nothing packed")
    found = packing_error(Singer(engine, "draft"), passage_s=1.6)
    assert found is not None
    assert engine.is_packed
    # Not the same numbers, or nothing was compared; and not another sound.
    assert -120.0 < found.latents_db < -30.0
    assert 0.0 < found.spectrum_db < 0.5
    engine.close()


def test_a_plain_engine_has_nothing_to_compare(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    engine.repack(is_plain=True)
    assert packing_error(Singer(engine, "draft"), passage_s=0.8) is None
    engine.close()
