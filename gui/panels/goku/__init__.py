"""The panel that infers the parameters of a known equation from measured traces."""
