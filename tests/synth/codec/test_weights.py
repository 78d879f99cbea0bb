"""Weights come back as they were saved; whatever else lies in their place is named in one short line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from synth.codec.weights import FORMAT_REVISION, content_hash, load_weights, read_config, save_weights
from synth.errors import UserError

LONGEST_MESSAGE = 160


def small(n_out: int = 3, *, bias: bool = True) -> nn.Linear:
    return nn.Linear(2, n_out, bias=bias)


def written(path: Path, **metadata: str) -> None:
    save_file({"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, path, metadata=metadata)


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    message = caught.value.message
    assert "\n" not in message
    assert len(message) <= LONGEST_MESSAGE, message
    assert caught.value.remedy
    return message


def test_weights_and_configuration_come_back(tmp_path: Path) -> None:
    path, saved, loaded = tmp_path / "deep" / "a.safetensors", small(), small()
    save_weights(path, saved, "codec", {"width": 3})
    assert read_config(path, "codec") == {"width": 3}
    load_weights(path, loaded)
    assert torch.equal(loaded.weight, saved.weight.half().float())
    assert loaded.weight.dtype == torch.float32
    assert [found.name for found in path.parent.iterdir()] == ["a.safetensors"]


def test_hash_follows_the_content_alone(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    first.write_bytes(b"same")
    second.write_bytes(b"same")
    other.write_bytes(b"another")
    assert content_hash(first) == content_hash(second) != content_hash(other)


def test_missing_file(tmp_path: Path) -> None:
    message = refused(lambda: read_config(tmp_path / "codec.safetensors", "codec"))
    assert "codec.safetensors" in message
    assert "missing" in message


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\xff" * 64])
def test_file_that_is_not_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert "not a readable safetensors file" in refused(lambda: read_config(path, "codec"))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"kind": "denoiser", "revision": "1", "config": "{}"}, "holds denoiser, not codec weights"),
        ({}, "holds nothing known, not codec weights"),
        ({"kind": "codec", "revision": str(FORMAT_REVISION + 1), "config": "{}"}, "written by a newer Stridor"),
        ({"kind": "codec", "revision": "1"}, "lacks a readable configuration"),
        ({"kind": "codec", "revision": "one", "config": "{}"}, "lacks a readable configuration"),
        ({"kind": "codec", "revision": "1", "config": "{"}, "lacks a readable configuration"),
        ({"kind": "codec", "revision": "1", "config": "[]"}, "lacks a readable configuration"),
    ],
)
def test_foreign_metadata(tmp_path: Path, metadata: dict[str, str], expected: str) -> None:
    path = tmp_path / "a.safetensors"
    written(path, **metadata)
    assert expected in refused(lambda: read_config(path, "codec"))


@pytest.mark.parametrize(
    ("saved", "wanted", "expected"),
    [
        (small(4), small(3), "weight has shape (4, 2) instead of (3, 2)"),
        (small(bias=False), small(), "bias is missing"),
        (small(), small(bias=False), "bias is unexpected"),
        (nn.Sequential(*[small() for _ in range(200)]), small(), "weight is missing"),
    ],
)
def test_weights_of_another_shape(tmp_path: Path, saved: nn.Module, wanted: nn.Module, expected: str) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, saved, "codec", {})
    assert expected in refused(lambda: load_weights(path, wanted))


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.bias[1] = torch.nan
    save_weights(tmp_path / "spoilt.safetensors", module, "codec", {})
    with pytest.raises(UserError, match=r"spoilt\.safetensors holds values in bias that are no numbers"):
        load_weights(tmp_path / "spoilt.safetensors", nn.Linear(2, 2))
