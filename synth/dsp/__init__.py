"""Signal processing shared by ears and corpus: framing, mel bands, resampling, smoothing."""
