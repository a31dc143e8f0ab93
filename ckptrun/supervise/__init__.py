"""One attempt's processes: the machine that decides, the loop that acts, the tree, signals, sinks, the notify socket."""
