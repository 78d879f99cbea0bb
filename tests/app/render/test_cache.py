"""Cells by content, in memory and on disk."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from app.render.cache import CellCache, content_key


def _array(value: float, n: int = 1000) -> np.ndarray:
    return np.full((n,), value, dtype=np.float32)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*"))


def test_keys_tell_parts_apart() -> None:
    assert content_key("a", b"xy", b"z") != content_key("a", b"x", b"yz")
    assert content_key("a", 1) != content_key("b", 1)
    assert content_key("a", 1, 0.5) == content_key("a", 1, 0.5)


def test_memory_forgets_what_was_used_longest_ago() -> None:
    cache = CellCache(memory_bytes=3 * 4000)
    for name in "abc":
        cache.put(content_key(name), _array(1.0))
    assert cache.get(content_key("a")) is not None  # now b is the oldest
    cache.put(content_key("d"), _array(1.0))
    held = [name for name in "abcd" if cache.get(content_key(name)) is not None]
    assert held == ["a", "c", "d"]


def test_another_process_finds_the_same_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((8, 112)).astype(np.float32)
    key = content_key("latents", 7)
    writer = multiprocessing.get_context("spawn").Process(target=_put, args=(tmp_path, key, values))
    writer.start()
    writer.join()
    found = CellCache(tmp_path).get(key)
    assert found is not None
    assert np.array_equal(found, values)
    assert not found.flags.writeable


def _put(folder: Path, key: bytes, values: np.ndarray) -> None:
    CellCache(folder).put(key, values)


def test_what_is_put_can_be_changed_afterwards_without_harm() -> None:
    cache = CellCache()
    values = _array(1.0)
    cache.put(b"k" * 20, values)
    values[:] = 2.0
    found = cache.get(b"k" * 20)
    assert found is not None
    assert found[0] == 1.0


def test_disk_stays_within_its_budget_and_drops_the_oldest(tmp_path: Path) -> None:
    budget = 100_000
    keys = [content_key("x", index) for index in range(60)]
    writer = CellCache(tmp_path, memory_bytes=0, disk_bytes=budget)
    for index, key in enumerate(keys):
        writer.put(key, _array(float(index)))
        for path in _files(tmp_path):  # writes of one test share a clock tick: give each its own second
            if path.name == key.hex()[2:] + ".cell":
                os.utime(path, (1e9 + index, 1e9 + index))
    sizes = sum(path.stat().st_size for path in _files(tmp_path))
    assert budget * 0.5 < sizes <= budget * 1.1
    assert writer.get(keys[0]) is None
    assert writer.get(keys[-1]) is not None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_damaged_entries_are_dropped(tmp_path: Path, damage: str) -> None:
    key = content_key("x")
    CellCache(tmp_path).put(key, _array(3.0))
    (path,) = _files(tmp_path)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(
        {"flip": bytes(data), "cut": bytes(data[:700]), "empty": b"", "foreign": b"\x80\x04K\x01."}[damage]
    )
    cache = CellCache(tmp_path)
    assert cache.get(key) is None
    assert _files(tmp_path) == []
    cache.put(key, _array(3.0))
    assert CellCache(tmp_path).get(key) is not None


def test_unusable_folder_is_one_notice_and_memory_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "cells"
    blocked.write_text("a file where the folder should be")
    notices: list[str] = []
    cache = CellCache(blocked, on_trouble=lambda message, remedy: notices.append(message + remedy))
    for index in range(3):
        cache.put(content_key(str(index)), _array(float(index)))
    assert len(notices) == 1
    assert str(blocked) in notices[0]
    assert all(cache.get(content_key(str(index))) is not None for index in range(3))


def test_full_disk_is_one_notice_and_memory_goes_on(tmp_path: Path) -> None:
    import resource

    notices: list[str] = []
    cache = CellCache(tmp_path, on_trouble=lambda message, remedy: notices.append(message))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        cache.put(content_key("big"), _array(1.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(notices) == 1
    assert cache.get(content_key("big")) is not None
    assert _files(tmp_path) == []
