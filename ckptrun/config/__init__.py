"""Options, environment, YAML file, strategy and defaults → one Config in which every value knows its source.

    load(options, environ, cwd)      all mistakes at once
    find_root(option, environ, cwd)  where the runs are, for verbs that need nothing else; find_patterns: how checkpoints are called

`keys` says what there is, `kinds` what a value may be, `file` reads YAML with line numbers, `strategies` are the regimes.
"""

from ckptrun.config.keys import BY_OPTION, BY_PATH, KEYS, RETENTION, STRATEGIES
from ckptrun.config.kinds import DoneWhen, nearest
from ckptrun.config.load import Config, find_patterns, find_root, load

__all__ = [
    "BY_OPTION",
    "BY_PATH",
    "KEYS",
    "RETENTION",
    "STRATEGIES",
    "Config",
    "DoneWhen",
    "find_patterns",
    "find_root",
    "load",
    "nearest",
]
