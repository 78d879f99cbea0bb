"""The wizard for real, by real keys alone: recordings are looked at, adapted to, heard and made a preset."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.store.presets import load_preset
from tests.conftest import REPOSITORY
from tests.dependants import dependent
from tests.e2e.desktop import XDisplay
from tests.synth.corpus.recordings import voice, write
from tests.tiny_weights import save_tiny_weights

PATIENCE_S = 500.0


@pytest.mark.display
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_keys_alone_lead_from_recordings_to_a_preset(tmp_path: Path) -> None:
    for index, name in enumerate("abcde"):
        write(tmp_path / "her growl" / f"take_{name}.wav", voice(2.2, 110.0 + 20.0 * index, seed=index))
    weights = save_tiny_weights(tmp_path / "weights")
    words: queue.SimpleQueue[str] = queue.SimpleQueue()

    def wait_for(word: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while words.get(timeout=max(deadline_s - time.monotonic(), 0.01)) != word:
            pass

    with XDisplay() as display:
        folders = [str(tmp_path / "her growl"), str(weights), str(tmp_path)]
        command = [sys.executable, "-m", "tests.ui.shown_wizard", *folders]
        process = subprocess.Popen(
            dependent(command), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"DISPLAY": display.name, "QT_QPA_PLATFORM": "xcb"},
        )  # fmt: skip
        output = process.stdout
        assert output is not None
        reader = threading.Thread(target=lambda: [words.put(line.strip()) for line in output], daemon=True)
        reader.start()
        try:
            wait_for("ready")
            wizard = display.xdotool("search", "--sync", "--onlyvisible", "--name", "Adapt to a Voice").split()[0]
            display.xdotool("windowfocus", "--sync", wizard)
            display.xdotool("key", "Return")
            wait_for("page What was found")
            wait_for("looked")
            time.sleep(0.5)  # the button learns of it in the same turn as we do
            display.xdotool("key", "Return")
            wait_for("page Voice and terms")
            for key, text in (("alt+m", " too"), ("alt+a", "Nobody"), ("alt+l", "CC0-1.0"), ("alt+c", "Made by me")):
                display.xdotool("key", key)
                display.xdotool("key", "End")
                display.xdotool("type", text)
            display.xdotool("key", "alt+i")
            time.sleep(0.5)  # a button that is pressed by its letter stays down for a moment
            display.xdotool("key", "Return")
            wait_for("page Training")
            wait_for("heard 1")
            display.xdotool("key", "b")
            wait_for("played True")
            wait_for("page Preset")
            display.xdotool("key", "Escape")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            reader.join()
            output.close()
    preset = load_preset("her_growl_too")
    assert (preset.name, preset.author, preset.licence, preset.consent) == (
        "her growl too", "Nobody", "CC0-1.0", "Made by me"
    )  # fmt: skip
    assert preset.adapters
