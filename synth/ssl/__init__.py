"""Self-supervised audio encoders: a small one of our own, and any Hugging Face one the user has in a folder."""
