"""The likelihood of single traces, and what follows from it: tops, draws, bounds, courses."""
