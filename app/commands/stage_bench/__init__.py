"""`stridor bench live`: playing measured end to end, from a MIDI event in JACK to a sample in JACK."""
