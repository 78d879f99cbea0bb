"""Is anybody singing, as it comes: level over 15 ms against a floor that learns the room."""

from __future__ import annotations

from typing import Final

from synth.listening.resampling import LISTENING_RATE_HZ
from synth.spec.audio import SILENCE_DB

STARTS_DB: Final = -50.0  # as synth.features.presence, which takes seconds to import

_ABOVE_FLOOR_DB: Final = 12.0
_HYSTERESIS_DB: Final = 7.0
_HOLD_S: Final = 0.07  # a stop consonant is no end
_RISE_DB_PER_S: Final = 3.0
_FALL_SHARE: Final = 0.1  # of the way, a hop
_NOISE_AFTER_S: Final = 3.0  # so long without pitch and without a pause it is the room
_NOISE_RISE_DB_PER_S: Final = 20.0
_HIGHEST_FLOOR_DB: Final = -30.0


class PresenceGate:
    """One voice. One thread.

    sensitivity_db   how much more quietly than STARTS_DB one may begin
    """

    def __init__(self, hop_samples: int, sensitivity_db: float = 0.0) -> None:
        self.sensitivity_db = sensitivity_db
        self._hop_s = hop_samples / LISTENING_RATE_HZ
        self._floor_db = SILENCE_DB
        self._is_present = False
        self._quiet_s = 0.0
        self._unvoiced_s = 0.0

    def process(self, level_db: float, *, is_voiced: bool) -> bool:
        """The next hop's level -> whether somebody sings."""
        starts_db = max(STARTS_DB - self.sensitivity_db, self._floor_db + _ABOVE_FLOOR_DB)
        if self._is_present:
            self._quiet_s = self._quiet_s + self._hop_s if level_db < starts_db - _HYSTERESIS_DB else 0.0
            self._is_present = self._quiet_s < _HOLD_S
        else:
            self._is_present = level_db >= starts_db
            self._quiet_s = 0.0
        self._unvoiced_s = self._unvoiced_s + self._hop_s if self._is_present and not is_voiced else 0.0
        self._learn_room(level_db)
        return self._is_present

    def _learn_room(self, level_db: float) -> None:
        if level_db < self._floor_db:
            self._floor_db += _FALL_SHARE * (level_db - self._floor_db)
        elif not self._is_present:
            self._floor_db += min(_RISE_DB_PER_S * self._hop_s, level_db - self._floor_db)
        elif self._unvoiced_s > _NOISE_AFTER_S:
            self._floor_db += min(_NOISE_RISE_DB_PER_S * self._hop_s, level_db - self._floor_db)
        self._floor_db = min(max(self._floor_db, SILENCE_DB), _HIGHEST_FLOOR_DB)
