"""The start page: what a newcomer does first."""
