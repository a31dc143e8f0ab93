"""One attempt's processes: the machine that decides, the loop that acts, the tree, signals, sinks, the notify socket.

`loop.run(spec, ground, intake)` runs the command of a `spec.Spec` and returns a `model.Ended`.
"""
