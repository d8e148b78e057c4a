"""The station: what there is, what it reads, setting it, and editing its file."""
