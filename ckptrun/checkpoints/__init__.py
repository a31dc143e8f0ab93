"""Checkpoints on disk.

scan        all checkpoints of a run or under a directory, oldest first
own         ckptrun's own layout, read at ten thousand a second
foreign     everybody else's, one directory at a time
measure     files, sizes, times
siblings    what one lacks and all others have
hints       pointers, and metrics in small files
manifest    checkpoint.json: the proof that one of ours is whole
verify      is it whole? quickly by sizes and structure, deeply by every byte
parts       which files a checkpoint is checked by, and against what; reader: several at a time
seals       checksums of what others wrote, as it was when it was whole
using       who has files open, and who for writing
indexes     shards by their list
wholeness   what that means for each layout
kinds       file formats that can be checked without loading them
reading     small files, with suspicion and patience
cleanup     what killed saves left behind
remove      deleting: a whole checkpoint goes into the trash by renames
trash       the trash, and emptying it
unlinking   a tree, without following links
emptying    the same as a process of its own
"""
