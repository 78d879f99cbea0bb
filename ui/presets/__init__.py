"""The preset browser's parts: shelf, list, pills, comparing and morphing, dialogs."""
