"""Data larger than memory: read block by block, shuffled window by window. A file for each kind of source."""
