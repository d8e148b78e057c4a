"""Instrument drivers over one locked, self-healing line for VISA and serial instruments."""
