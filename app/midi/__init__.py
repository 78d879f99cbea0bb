"""MIDI inputs: ports come and go, their messages become plain values."""
