"""Other ways than SSH to carry out a run: on the worker's own machine, and on hosts that are only played."""
