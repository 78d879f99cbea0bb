"""The baseline to beat: waveform diffusion with audio-diffusion-pytorch's own architecture, sampler and objective."""
