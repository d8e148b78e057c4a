"""The Twins panel: choose recordings, diagnose, fit, look at what the twin foresees, compare, fit while recording."""
