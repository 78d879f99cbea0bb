"""The performance page: how live playing goes, what it sounds like, which controls move what."""
