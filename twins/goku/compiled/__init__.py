"""Equations written in C from their own Python: solving, filtering, exact gradients."""
