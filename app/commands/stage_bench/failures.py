"""Parts of `stridor bench live` that take something away while a note is held: the device, the sampler."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import psutil

from app.commands.stage_bench.player import Bench, play_with
from app.commands.stage_bench.rig import recorder
from app.store.presets import load_preset


def device(bench: Bench) -> dict[str, Any]:
    """The audio device is killed and comes back while a note is held: when it sounds again, with nothing done."""
    with play_with([load_preset("growl")], bench) as stage:
        stage.wait_for_onsets(100)
        stage.session.note_on(57.0, 96)
        stage.wait(2.0)
        times = []
        for _ in range(3):
            bench.jack.kill()
            stage.wait(1.0)
            bench.jack.start()
            back_at_s = time.monotonic()
            while time.monotonic() < back_at_s + 20.0:
                stage.wait(0.05)
                if stage.sound.available and stage.sound.level_db[0] > -60.0:
                    break
            times.append(time.monotonic() - back_at_s)
            stage.wait(2.0)
        bench.jack.stop()
    return {"seconds_to_sound": times, "asked": {"figure": max(times), "at_most": 2.0, "met": max(times) <= 2.0}}


def sampler(bench: Bench) -> dict[str, Any]:
    """The sampler is killed while a note is held: sound fades, and comes back by itself."""
    with recorder() as tape, play_with([load_preset("growl")], bench) as stage:
        stage.wait_for_onsets(50)
        stage.session.note_on(57.0, 96)
        stage.wait(1.0)
        pid = stage.session.engine.pids["sampler"]
        psutil.Process(pid).kill()
        killed_at_s = time.monotonic()
        take = tape.play([], 1.5)
        steepest = float(np.abs(np.diff(take.audio)).max())
        while time.monotonic() < killed_at_s + 90.0:
            stage.wait(0.1)
            if stage.session.engine.is_sampling and stage.sound.level_db[0] > -50.0:
                break
        back_s = time.monotonic() - killed_at_s
        meter = stage.meter()
    return {
        "largest_step_while_fading": steepest, "seconds_to_sound": back_s, "zero_frames": meter.zero_frames,
        "state": meter.state,
    }  # fmt: skip
