"""What a training script imports. Standard library and `names` only; loads in milliseconds and works without ckptrun around it.

run        Run and attach: what a script calls
place      where we run: ckptrun's variables, or ./checkpoints
alone      what to resume from without ckptrun
asking     what is asked of the script: the request file, or signals
saving     one save: the block's folder, its commit, what is said when it fails
commit     hash → fsync → manifest → lease → rename → fsync
contents   what lies in the folder, hashed and made durable
manifest   the text of checkpoint.json
notify     datagrams to ckptrun, and lines to people
"""

from ckptrun.client.commit import LeaseLost
from ckptrun.client.run import Run, attach

__all__ = ["LeaseLost", "Run", "attach"]
