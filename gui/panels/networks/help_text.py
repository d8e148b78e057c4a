"""What F1 says of the Networks panel."""

HELP = """
# Networks

A **network** is layers of nodes. A node is one play of one of your devices: its drive is a weighted sum of the task's input
and of what other nodes answered. A read-out turns all answers into the result.

**1 Network.** Choose the task. The twins of the runs folder are taken by themselves; *Add twin …* chooses others. The usual
network for the task is drawn at once: *Optimise →* goes on with it. A twin that failed its gates comes in only when you choose
it. What you draw is kept, saved to a file or not.

Drag from the port at the right of a box to another box: that one then *hears* it. Del
removes, double-click edits, the wheel zooms, Ctrl+Z undoes. The tables at the right can do the same by keyboard. A connection
back (to the same or an earlier layer) makes the network recurrent; every node then needs a device of its own.

**2 Optimise.** Trains all weights on the twins, with their noise. *Stop* keeps the state, *Go on* resumes. What is promised is
judged on held-out examples. Lower is better.

**3 Apply and measure.** With a station open, what would change is read when you come here, which writes to nothing: what each
output is now, what is proposed, what the station allows. *Read what would change* reads again; after any other use of the bench
that is needed. Rows outside their limits are refused. Twins whose gates were not passed need a reason, which is kept with the
results. After the box is ticked and the button pressed, the network is played, and *measured* stands beside *promised*,
the best random network (*reservoir*), and the network before training. The outputs end safe. If it breaks off, what was
measured is kept, and what is known of the outputs is told.

**4 More.** Close the gap between promise and device, train on the bench, train layer by layer, compare what
knowing the noise is worth.

A task of your own is a Python file with a class. **It is run.** Choose only what you trust.
"""
