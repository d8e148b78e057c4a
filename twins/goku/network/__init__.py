"""GOKU-net and GOKU-UI: encoder, windows, decoder, losses, training, files."""
