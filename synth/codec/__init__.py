"""Waveform to latents and back: encoder, explicit excitation, decoder whose pitch is imposed from outside."""
