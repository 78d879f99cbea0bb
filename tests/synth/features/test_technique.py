"""The technique classifier that is shipped, and files that are not one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from synth.errors import UserError
from synth.features import analyse, technique_features
from synth.features.technique import (
    KIND,
    N_FEATURES,
    SHIPPED_MODEL,
    TechniqueModel,
    load_technique_classifier,
    save_technique_classifier,
)
from synth.spec.lanes import TECHNIQUES
from tests.synth.features.voices import voice

INNER = slice(20, -20)
WHISPERED_HZ = ((800.0, 300.0), (1_500.0, 300.0), (2_700.0, 400.0), (4_000.0, 500.0))


def small_model(seed: int = 0) -> TechniqueModel:
    rng = np.random.default_rng(seed)
    layers = tuple(
        (rng.standard_normal((n_in, n_out)).astype(np.float32), rng.standard_normal(n_out).astype(np.float32))
        for n_in, n_out in ((N_FEATURES, 5), (5, len(TECHNIQUES)))
    )
    mean, scale = np.linspace(-1.0, 1.0, N_FEATURES), np.linspace(0.5, 2.0, N_FEATURES)
    return TechniqueModel(mean.astype(np.float32), scale.astype(np.float32), layers, 15)


def random_features(n_frames: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n_frames, N_FEATURES)).astype(np.float32)


def whisper(seed: int = 0) -> np.ndarray:
    """Noise through the wide resonances of an open glottis, with the hiss above them that a whisper has."""
    murmur = voice(150.0, hnr_db=-np.inf, seed=seed, formants_hz=WHISPERED_HZ)
    hiss = np.random.default_rng(seed).standard_normal(len(murmur))
    return (murmur + np.std(murmur) * hiss).astype(np.float32)


def test_the_features_are_as_many_as_the_model_expects() -> None:
    assert technique_features(analyse(voice(150.0, 0.3))).shape[1] == N_FEATURES


def test_the_shipped_file_is_small_and_says_how_well_it_does() -> None:
    assert SHIPPED_MODEL.stat().st_size < 200_000
    notes = load_technique_classifier().notes
    assert {"minutes", "seed", "validation_loss"} <= set(notes["recipe"])
    assert 0.5 < notes["figures"]["real"]["accuracy"] <= 1.0
    assert 1.0 / len(TECHNIQUES) < notes["figures"]["simulated"]["accuracy"] <= 1.0


def test_a_whisper_and_a_clean_voice_are_told_apart() -> None:
    whispered, clean = (
        analyse(audio, technique_classifier=load_technique_classifier())
        for audio in (whisper(), voice(150.0, hnr_db=25.0))
    )
    for name in TECHNIQUES:
        assert f"technique.{name}" in clean.lanes
    assert np.median(whispered.lanes["technique.whisper"][INNER]) > 0.5
    assert np.median(clean.lanes["technique.whisper"][INNER]) < 0.1
    assert np.median(clean.lanes["technique.modal"][INNER]) > np.median(whispered.lanes["technique.modal"][INNER]) + 0.3


def test_a_whisper_brought_closer_stays_a_whisper() -> None:
    far = 0.2 * whisper()
    near, far_heard = (
        analyse(audio.astype(np.float32), technique_classifier=load_technique_classifier()).lanes["technique.whisper"]
        for audio in (5.0 * far, far)
    )
    assert np.abs(near - far_heard)[INNER].max() < 0.05


@pytest.mark.parametrize("n_frames", [0, 1, 2, 14, 15, 300])
def test_probabilities_sum_to_one(n_frames: int) -> None:
    heard = load_technique_classifier()((1e3 * random_features(n_frames)).astype(np.float32))
    assert heard.shape == (n_frames, len(TECHNIQUES))
    assert heard.dtype == np.float32
    assert np.all(heard >= 0.0)
    np.testing.assert_allclose(heard.sum(axis=1), 1.0, atol=1e-5)


def test_the_same_features_give_the_same_probabilities() -> None:
    features = random_features(50)
    kept = features.copy()
    model = load_technique_classifier()
    assert np.array_equal(model(features), model(features))
    assert np.array_equal(features, kept)


def test_a_frame_is_heard_for_150_ms() -> None:
    """One odd frame among equal ones spreads over 15 frames and no further."""
    features = np.zeros((61, N_FEATURES), dtype=np.float32)
    steady = small_model()(features)
    features[30] = 3.0
    changed = np.flatnonzero(np.abs(small_model()(features) - steady).max(axis=1) > 1e-6)
    assert changed.tolist() == list(range(23, 38))


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="technique features"):
        small_model()(np.zeros((4, N_FEATURES + 1), dtype=np.float32))


def test_a_saved_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = replace(small_model(), notes={"recipe": {"seed": 3}, "figures": {"real": {"accuracy": 0.5}}})
    path = tmp_path / "folder" / "model.safetensors"
    save_technique_classifier(path, model)
    loaded = load_technique_classifier(path)
    assert loaded.notes == model.notes
    assert np.array_equal(loaded(random_features(40)), model(random_features(40)))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_hearing_does_not_need_torch() -> None:
    program = (
        "import sys; from synth.features.technique import load_technique_classifier; load_technique_classifier(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ---- files that are not a classifier


def _write(path: Path, *, drop: str = "", config: dict[str, Any] | None = None, **metadata: str) -> Path:
    """A good file with something wrong in it: a tensor left out, keys of the configuration or metadata replaced."""
    save_technique_classifier(path, small_model())
    model = small_model()
    tensors = {"mean": model.mean, "scale": model.scale}
    for index, (weight, bias) in enumerate(model.layers):
        tensors |= {f"layer{index}.weight": weight, f"layer{index}.bias": bias}
    tensors.pop(drop, None)
    good = {"techniques": list(TECHNIQUES), "n_features": N_FEATURES, "smoothing_frames": 15}
    stored = {"kind": KIND, "revision": "1", "config": json.dumps(good | (config or {}))}
    save_file(tensors, path, metadata=stored | metadata)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_technique_classifier(path)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert path.name in caught.value.message
    return caught.value.message


def test_the_unspoilt_file_is_accepted(tmp_path: Path) -> None:
    load_technique_classifier(_write(tmp_path / "good.safetensors"))


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    assert "missing" in _refused(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{]     "])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    assert "not a readable" in _refused(path)


def test_a_file_cut_short_is_one_clear_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a readable" in _refused(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(3 << 20)
    assert "too large" in _refused(path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    assert "codec" in _refused(_write(tmp_path / "codec.safetensors", kind="codec"))


def test_a_newer_revision_is_refused(tmp_path: Path) -> None:
    assert "revision" in _refused(_write(tmp_path / "new.safetensors", revision="2"))


@pytest.mark.parametrize(
    "config",
    [
        {"techniques": ["modal"]},
        {"techniques": None},
        {"n_features": 12},
        {"smoothing_frames": 4},
        {"smoothing_frames": 10_001},
        {"smoothing_frames": None},
    ],
)
def test_a_configuration_that_does_not_fit_is_one_clear_line(tmp_path: Path, config: dict[str, Any]) -> None:
    assert "do not fit" in _refused(_write(tmp_path / "odd.safetensors", config=config))


@pytest.mark.parametrize("config", ["", "[]", "3", "{"])
def test_metadata_that_is_no_configuration_is_one_clear_line(tmp_path: Path, config: str) -> None:
    path = tmp_path / "odd.safetensors"
    _write(path)
    model = small_model()
    save_file({"mean": model.mean, "scale": model.scale}, path, {"kind": KIND, "revision": "1", "config": config})
    assert "do not fit" in _refused(path)


@pytest.mark.parametrize("tensor", ["mean", "scale", "layer0.weight", "layer1.bias"])
def test_a_lacking_tensor_is_one_clear_line(tmp_path: Path, tensor: str) -> None:
    assert "do not fit" in _refused(_write(tmp_path / "lacking.safetensors", drop=tensor))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_an_unusable_scale_is_one_clear_line(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "scale.safetensors"
    save_technique_classifier(path, replace(small_model(), scale=np.full(N_FEATURES, bad, np.float32)))
    assert "do not fit" in _refused(path)
