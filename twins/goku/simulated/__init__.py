"""Simulated series of known equations, in sets that share nothing. Nothing here was measured."""
