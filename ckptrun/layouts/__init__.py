"""How frameworks name and complete their checkpoints. PURE: entries of a directory in, claims out; no disk is touched.

catalogue    literals, one for each framework, by family: names, parts, markers, temporary names, pointers
match        all that follows, applied to a directory's entries
frameworks   the literals applied
lacks        what names say is missing: parts, shards, markers
numbers      step, epoch and metrics in names
patterns     the user's own names, as templates
pointers     what names one of the checkpoints beside it: read, and written anew
sidecars     which small files tell of checkpoints: metrics, epochs, the best
records      those that are JSON, read;  tables: those that are CSV;  facts: what they say
naming       what file names of unknown scripts promise: extensions, words, temporary names
series       files that differ in one number
single       one file, rewritten in place
"""
