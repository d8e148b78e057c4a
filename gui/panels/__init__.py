"""Panels: the parts of the window."""
