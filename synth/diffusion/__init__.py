"""Conditioned latent diffusion: conditions, denoiser, schedules, solvers, guidance."""
