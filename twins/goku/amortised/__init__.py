"""A posterior for any trace, learned from simulations and calibrated on others."""
