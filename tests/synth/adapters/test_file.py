"""Adapter files: what is written comes back; what strangers wrote is refused in one line."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from synth.adapters.file import Adapter, AdapterInfo, read_adapter, save_adapter
from synth.errors import UserError
from tests.synth.adapters.tiny_adapters import MAKERS, info, random_layers


def saved(path: Path, method: str = "lora") -> Adapter:
    return save_adapter(path, info(method), random_layers(method))


@pytest.mark.parametrize("method", MAKERS)
def test_an_adapter_comes_back_as_it_was(method: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    written = saved(path, method)
    read = read_adapter(path)
    assert read.info == written.info
    assert (read.id, read.sha256) == (written.id, hashlib.sha256(path.read_bytes()).hexdigest())
    assert read.sha256.startswith(read.id)
    assert read.id == Adapter.of(written.info, written.layers).id
    assert read.layers.keys() == written.layers.keys()
    for name, parts in read.layers.items():
        assert all(torch.equal(value, written.layers[name][suffix]) for suffix, value in parts.items())


def forged(path: Path, **changes: Any) -> Path:
    """A good file with something changed: metadata by name, or "tensors"."""
    good = path.with_suffix(".good")
    saved(good)
    with safe_open(good, framework="pt") as file:
        metadata: dict[str, str] = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    tensors |= changes.pop("tensors", {})
    described = json.loads(metadata["config"])
    described.update(changes.pop("config", {}))
    save_file(tensors, path, metadata=metadata | {"config": json.dumps(described)} | changes)
    return path


LAYER = "base_model.model.enter.lora_A.weight"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "denoiser"}, "it holds denoiser"),
        ({"revision": "2"}, "newer Stridor"),
        ({"revision": "one"}, "not readable"),
        ({"config": {"surprise": 1}}, "unknown key 'surprise'"),
        ({"config": {"method": "pickle"}}, "unknown method"),
        ({"config": {"regions": "early"}}, "regions are no list"),
        ({"config": {"regions": ["early", "upper"]}}, "regions"),
        ({"config": {"rank": 10**6}}, "rank 1000000"),
        ({"config": {"rank": float("nan")}}, "rank is no number"),
        ({"config": {"alpha": "4"}}, "alpha is no number"),
        ({"config": {"base_hash": "../../etc"}}, "no hash of a base"),
        ({"config": {"consent": " "}}, "consent is empty"),
        ({"config": {"name": 3}}, "name is no text"),
        ({"config": {"features": []}}, "no table"),
        ({"tensors": {LAYER: torch.full((2, 4), float("nan"))}}, "no numbers"),
        ({"tensors": {LAYER: torch.full((2, 4), float("inf"))}}, "no numbers"),
        ({"tensors": {LAYER: torch.zeros(2, 4, dtype=torch.int64)}}, "of type I64"),
        ({"tensors": {"base_model.model.enter.weight": torch.zeros(2)}}, "a tensor is called"),
        ({"tensors": {"base_model.model...lora_A.weight": torch.zeros(2)}}, "a tensor is called"),
        ({"tensors": {"a\u202eb.lora_A.weight": torch.zeros(2)}}, "a tensor is called"),
        ({"tensors": {f"x{n}.lora_A.weight": torch.zeros(1) for n in range(5_000)}}, "tensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forged_file_is_refused(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why) as fault:
        read_adapter(forged(tmp_path / "a.safetensors", **changes))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80\x04\x95", b"PK\x03\x04" + 60 * b"\0", 8 * b"\xff" + b"{}", (2**20 + 1).to_bytes(8, "little") + b"{",
        (4).to_bytes(8, "little") + b"{[[[", (2**40).to_bytes(8, "little") + 100 * b" ",
    ],
    ids=["empty", "pickle", "zip", "endless header", "long header", "no json", "no such header"],
)  # fmt: skip
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match="no adapter that can be used"):
        read_adapter(path)


def test_an_endless_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(UserError, match="larger than"):
        read_adapter(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no adapter"):
        read_adapter(tmp_path / "none.safetensors")


def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    """Cut anywhere or with a byte changed: an error in one line, or an adapter whose numbers are numbers."""
    path, whole = tmp_path / "a.safetensors", tmp_path / "whole"
    saved(whole)
    data, rng = whole.read_bytes(), random.Random(5)
    header_end = 8 + int.from_bytes(data[:8], "little")
    cuts = [data[:n] for n in rng.sample(range(len(data)), 60)]
    flipped = []
    for place in [*rng.sample(range(header_end), 120), *rng.sample(range(header_end, len(data)), 20)]:
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        flipped.append(bytes(changed))
    lines: list[str] = []
    for damaged in [*cuts, *flipped]:
        path.write_bytes(damaged)
        try:
            adapter = read_adapter(path)
        except UserError as fault:
            lines.append(str(fault))
            continue
        values = [value for parts in adapter.layers.values() for value in parts.values()]
        assert all(bool(torch.isfinite(value).all()) for value in values)
    assert len(lines) >= len(cuts) + 60
    assert [line for line in lines if "\n" in line] == []


def test_an_info_without_consent_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="consent"):
        AdapterInfo("x", "lora", "0" * 32, ("early",), "growl", "CC0", "", rank=1, alpha=1.0)
