"""A microphone or a file as controller: its own process listens and plays the live engine's voice."""
