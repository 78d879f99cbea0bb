"""What may run beside live playing: OSC, a recording of the sound, a recording of the gestures. Main thread."""

from __future__ import annotations

from pathlib import Path

from app.live.stage.messages import Tell
from app.services.instrument import Instrument
from app.services.network import Network
from app.services.recording import AudioRecorder, PassageRecorder
from app.services.stage import StageSession
from app.store.passages import save_passage
from app.store.presets import list_presets
from synth.errors import UserError


class Accompaniment:
    """For one instrument. close() ends everything and writes what was recorded."""

    def __init__(self, instrument: Instrument) -> None:
        """Raises UserError where notes are played cell by cell: there is no stream to record."""
        session = instrument.live
        if not isinstance(session, StageSession):
            raise UserError("This voice cannot be recorded or reached while it is played.", remedy="Use a newer voice.")
        self._instrument, self._session = instrument, session
        self._network: Network | None = None
        self._audio: AudioRecorder | None = None
        self._passage: tuple[PassageRecorder, Path] | None = None

    def speak_osc(self, port: int) -> int:
        """Open an OSC port of this machine, 0 = any -> its number. Raises UserError."""
        presets = {preset.id: preset for preset in list_presets()}
        network = Network(self._session, presets, port=port, on_transport=self._transport)
        number = network.start()
        self._network = network
        self._instrument.also_poll(network.poll)
        return number

    def record_audio(self, path: Path) -> None:
        """Write the live stream to `path` from now on. Raises UserError."""
        self._audio = AudioRecorder(self._session.sound, path)

    def record_passage(self, path: Path) -> None:
        """Keep what is played from now on; close() writes it to `path`."""
        recorder = PassageRecorder()
        self._passage = recorder, path
        self._session.listen(recorder.hear)
        self._session.engine.play(Tell(is_wanted=True))

    def close(self) -> None:
        """End everything. Raises UserError when what was played cannot be kept."""
        if self._network is not None:
            self._network.close()
        if self._audio is not None:
            self._audio.close()
        if self._passage is not None:
            (recorder, path), self._passage = self._passage, None
            self._instrument.poll()
            save_passage(recorder.passage(), path)

    def _transport(self, action: str, _beat: float | None) -> None:
        if action == "stop":
            self._instrument.pause()
        else:
            self._instrument.play(0.0 if action == "start" else self._instrument.playhead_s)
