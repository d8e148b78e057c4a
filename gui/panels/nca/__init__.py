"""Neural cellular automata: sequences, training, running automata to paint on, and what they are worth."""
