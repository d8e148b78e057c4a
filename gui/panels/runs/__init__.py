"""What waits, runs and ran, and everything that lies below the runs folder."""
