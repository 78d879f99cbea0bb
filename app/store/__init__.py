"""Files a person keeps: passages, presets, takes, settings, MIDI; all written atomically."""
