"""Qt models: they hold what tables show; the widgets hold no data."""
