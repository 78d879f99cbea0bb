"""What the player's hands do becomes commands for a voice engine: pure, deterministic, without threads or clocks."""
