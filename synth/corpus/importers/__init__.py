"""Ways into the catalogue: VocalSet, EMVD and plain folders of recordings."""
