"""An engine with adapters: found by the lanes that name them, strong as these say, and told of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from app.render.controls import EngineStamp, window_key
from synth.adapters.file import save_adapter
from synth.adapters.rack import adapter_strengths
from synth.engine import Engine
from synth.errors import UserError
from synth.evaluate.singing import neutral_controls
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.controls import ControlFrames, Float32Array
from tests.synth.adapters.tiny_adapters import info, random_layers
from tests.tiny_weights import save_tiny_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights"))


def controls(lanes: Mapping[str, float | Float32Array]) -> ControlFrames:
    plain = neutral_controls(WINDOW_FRAMES, technique="growl")
    told = {name: np.broadcast_to(np.float32(value), WINDOW_FRAMES).copy() for name, value in lanes.items()}
    return ControlFrames({**plain.values, **told}, None, 0.3)


def drawn(engine: Engine, lanes: Mapping[str, float | Float32Array]) -> Float32Array:
    return engine.sample_cell(controls(lanes), seed=1, cell_index=0, quality="draft")


def installed(engine: Engine, folder: Path, method: str = "lora", name: str = "hers") -> str:
    """The id of an adapter that lies in `folder`, made for the engine's voice."""
    described = info(method, base_hash=engine.adapters.base_hash, name=name)
    adapter = save_adapter(folder / "new", described, random_layers(method))
    (folder / "new").rename(folder / f"{adapter.id}.safetensors")
    return adapter.id


@pytest.mark.parametrize("method", ["lora", "sara"])
def test_a_lane_finds_its_adapter_and_moves_the_voice(method: str, weights: Path, tmp_path: Path) -> None:
    engine = Engine.load(weights, "cpu", 1, adapter_folders=lambda: [tmp_path])
    name = f"adapter.{installed(engine, tmp_path, method)}"
    base = drawn(engine, {})
    np.testing.assert_array_equal(drawn(engine, {f"{name}.late": 0.0}), base)
    half, whole = (drawn(engine, {f"{name}.late": strength}) for strength in (0.5, 1.0))
    assert np.abs(half - base).max() > 1e-3
    assert np.abs(whole - half).max() > 1e-3
    np.testing.assert_array_equal(drawn(engine, {}), base)
    # The same numbers as a lane that hardly moves: two ways of computing one thing.
    nearly = np.full(WINDOW_FRAMES, 1.0, dtype=np.float32)
    nearly[0] = 1.0 - 1e-6
    # bfloat16, where the processor has it, is what the packed network differs by.
    np.testing.assert_allclose(drawn(engine, {f"{name}.late": nearly}), whole, atol=0.05 * float(np.std(whole)))


def test_strengths_are_part_of_a_cell_s_name() -> None:
    stamp = EngineStamp("w", "cpu", "draft")
    keys = {window_key(stamp, controls(lanes), seed=1, cell=0) for lanes in (
        {}, {"adapter.ab.late": 0.5}, {"adapter.ab.late": 0.6}, {"adapter.ab.early": 0.5}, {"adapter.cd.late": 0.5},
    )}  # fmt: skip
    assert len(keys) == 5


def test_an_adapter_that_is_nowhere_is_told(weights: Path) -> None:
    engine = Engine.load(weights, "cpu", 1)
    with pytest.raises(UserError, match="0123456789abcdef is not installed"):
        drawn(engine, {"adapter.0123456789abcdef.early": 1.0})
    drawn(engine, {"adapter.0123456789abcdef.early": 0.0})


def test_a_file_under_another_s_name_is_refused(weights: Path, tmp_path: Path) -> None:
    engine = Engine.load(weights, "cpu", 1, adapter_folders=lambda: [tmp_path])
    known = installed(engine, tmp_path)
    (tmp_path / f"{known}.safetensors").rename(tmp_path / "0123456789abcdef.safetensors")
    with pytest.raises(UserError, match="holds another adapter"):
        drawn(engine, {"adapter.0123456789abcdef.early": 1.0})


def test_another_base_is_told_and_still_sings(weights: Path, tmp_path: Path) -> None:
    engine = Engine.load(weights, "cpu", 1)
    said: list[str] = []
    engine.on_trouble = lambda message, _: said.append(message)
    adapter = save_adapter(tmp_path / "a.safetensors", info("lora"), random_layers("lora"))
    engine.adapters.load(tmp_path / "a.safetensors")
    assert said == ["The adapter 'tiny lora' was made for another voice; it may sound differently."]
    drawn(engine, {f"adapter.{adapter.id}.early": 1.0})
    engine.adapters.remove(adapter.id)
    with pytest.raises(UserError, match="not installed"):
        drawn(engine, {f"adapter.{adapter.id}.early": 1.0})


def test_loading_leaves_what_sings_alone(weights: Path, tmp_path: Path) -> None:
    engine = Engine.load(weights, "cpu", 1, adapter_folders=lambda: [tmp_path])
    first = installed(engine, tmp_path)
    sounding = engine.adapters.adapted(engine.denoiser, [first])
    before = drawn(engine, {f"adapter.{first}.middle": 0.8})
    second = installed(engine, tmp_path, "sara", "another")
    after = engine.adapters.adapted(engine.denoiser, [second])
    assert sounding is not after
    assert len(sounding.adapters) == 1
    assert [adapter.id for adapter in after.adapters] == [first, second]
    np.testing.assert_array_equal(drawn(engine, {f"adapter.{first}.middle": 0.8}), before)


def test_strengths_are_kept_in_their_range() -> None:
    lanes = {"adapter.ab.late": np.array([9.0, -1.0, np.nan], np.float32), "adapter.ab.early": np.zeros(3, np.float32)}
    assert adapter_strengths(lanes)["ab"].keys() == {"late"}
    np.testing.assert_array_equal(adapter_strengths(lanes)["ab"]["late"], np.array([1.5, 0.0, 0.0], np.float32))
