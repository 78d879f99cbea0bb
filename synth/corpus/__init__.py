"""Training sound: real recordings and a physical simulator, labelled frame by frame."""
