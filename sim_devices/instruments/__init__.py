"""Front ends of simulated instruments: one real command set a file."""
