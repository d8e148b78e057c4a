"""Ways to compute the same steps of an automaton, from which unroll() takes the fastest.

    plain    a depthwise convolution, then the network: Automaton.step as it is written
    folded   kernels and first layer folded into one dense 3×3 convolution
    sliced   channels last, neighbours as slices, the network as products of matrices
    native   a compiled kernel that goes through all steps, and back: native.py

All agree to rounding, in states, gradients and the overshoot, and draw the same cells to fire.
"""

from twins.nca.formulations.choice import FORMULATIONS, Formulation, fastest, in_words

__all__ = ["FORMULATIONS", "Formulation", "fastest", "in_words"]
