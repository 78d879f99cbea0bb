"""Training of codec, denoiser, guidance and technique classifier."""
