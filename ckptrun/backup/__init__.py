"""Checkpoints that are safe somewhere else too, and the way back.

record      backup.json: the proof that a backup is whole, written last
unit        what belongs to a checkpoint on disk, and whether it changes while it is read
copying     one file: shared blocks, another name for it, or a copy; and its digest
places      where backups lie: a directory, or whatever fsspec can reach (local, remote, s3, sftp)
making      one backup, from the first file to the record
restoring   one backup put back as a checkpoint that is whole, or not there
upkeep      a destination, and one checkpoint's way there
aside       one version of a file that is rewritten in place, copied by a process of its own
pointers    absolute paths in the files of frameworks, after a checkpoint has moved
"""
