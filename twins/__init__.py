"""Twins: neural stochastic differential equations of devices, and networks of them."""
