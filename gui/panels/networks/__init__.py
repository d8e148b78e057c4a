"""The Networks panel: draw a network, optimise it on twins, apply it to the bench, measure it there."""
