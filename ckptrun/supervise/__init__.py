"""One attempt's processes: the machine that decides, the loop that ties everything, hands that act.

`loop.run(spec, ground, intake)` runs the command of a `spec.Spec` on a `spec.Ground` and returns a `model.Ended`.

machine, asking, state, script, events   PURE: what follows from what (a request, a deadline, an end); read machine first
loop, pace, hands, outcome               the rounds of the loop, when to look again, carrying out, the account at the end
signals                                  signals that ckptrun gets
spawn, kernel, children                  starting the command, prctl, waiting for it and for orphans
tree, relays, golang, delivery, ending   /proc; who is looked through; who gets a save signal; SIGTERM, SIGKILL, ^Z
streams, sinks, terminal, logfile        the command's output, who reads it, the terminal, log.txt
requestfile, notify                      what the script is told, and what it tells
strays, oom                              what an earlier attempt left running; was memory short
"""
