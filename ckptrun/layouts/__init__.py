"""How frameworks name and complete their checkpoints. PURE: entries of a directory in, claims out; no disk is touched.

catalogue    literals, one for each framework: names, markers, temporary names
match        the literals applied to a directory's entries
naming       what file names of unknown scripts promise: extensions, words, temporary names
series       files that differ in one number
single       one file, rewritten in place
"""
