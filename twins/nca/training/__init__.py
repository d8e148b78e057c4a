"""Training of automata on image sequences."""
