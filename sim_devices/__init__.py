"""Simulated instruments with physics inside, reached by address over real TCP and pty."""
