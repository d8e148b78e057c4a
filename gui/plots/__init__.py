"""Plots: what they show is kept in bounded buffers without Qt; the widgets only draw."""
