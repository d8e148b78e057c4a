"""The parts of the generic SCPI driver (drivers/scpi_generic.py): option tables, stepped use, playing, recording."""
