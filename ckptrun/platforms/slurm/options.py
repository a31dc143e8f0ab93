"""sbatch's options as people type them: which take a value, what is ckptrun's own, and how one is written in a script.

Everything that is not in the tables takes a value, so that options of other versions and of plugins pass through.
"""

from __future__ import annotations

from ckptrun import errors
from ckptrun.model import Noun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# `man sbatch`: options without a value, and those whose value can only be attached with `=`.
FLAGS = frozenset(
    [
        "--contiguous",
        "--disable-stdout-job-summary",
        "--exclusive",
        "--get-user-env",
        "--hold",
        "--ignore-pbs",
        "--nice",
        "--no-kill",
        "--no-requeue",
        "--overcommit",
        "--oversubscribe",
        "--parsable",
        "--propagate",
        "--quiet",
        "--reboot",
        "--requeue",
        "--resv-ports",
        "--spread-job",
        "--stepmgr",
        "--test-only",
        "--use-min-nodes",
        "--verbose",
        "--wait",
        "-H",
        "-O",
        "-Q",
        "-W",
        "-k",
        "-s",
    ]
)
SHORT = {
    "-A": "--account", "-a": "--array", "-b": "--begin", "-C": "--constraint", "-c": "--cpus-per-task", "-D": "--chdir",
    "-d": "--dependency", "-e": "--error", "-F": "--nodefile", "-G": "--gpus", "-H": "--hold", "-i": "--input",
    "-J": "--job-name", "-k": "--no-kill", "-L": "--licenses", "-M": "--clusters", "-m": "--distribution", "-N": "--nodes",
    "-n": "--ntasks", "-O": "--overcommit", "-o": "--output", "-p": "--partition", "-Q": "--quiet", "-q": "--qos",
    "-S": "--core-spec", "-s": "--oversubscribe", "-t": "--time", "-W": "--wait", "-w": "--nodelist", "-x": "--exclude",
}  # fmt: skip
# What would take the place of what ckptrun puts into the script, or of how it reads sbatch's answer.
OURS = {
    "--wrap": "the command stands at the end of the line: ckptrun submit … -- COMMAND",
    "--parsable": "it is always given; --json prints the job's number",
    "--wait": "`ckptrun wait RUN` waits for the end of a run, --restarts also through requeues",
    "--test-only": "`ckptrun submit --print` shows the script; pass it to sbatch --test-only",
}


class Option(Noun, frozen=True, kw_only=True):
    """One sbatch option by its long name (a short one that has none stays as it is)."""

    name: str
    value: str | None = None

    @property
    def word(self) -> str:
        """As one word of a command line."""
        if self.value is None:
            return self.name
        return f"{self.name}={self.value}" if self.name.startswith("--") else f"{self.name}{self.value}"


class Split(Noun, frozen=True, kw_only=True):
    """A command line of `ckptrun submit`, taken apart: options of ckptrun as typed, of sbatch, and the command."""

    own: list[list[str]] = []  # each with its value
    sbatch: list[Option] = []
    rest: list[str] = []
    literal: bool = False  # the command came after `--`


def split(words: Sequence[str], takes_value: Mapping[str, bool], optional_number: Collection[str] = ()) -> Split:
    """Take a command line apart. `takes_value` has ckptrun's own options, which win; those in `optional_number` may have one.

    Raises:
        UsageError: an option has no value, or is one that ckptrun gives itself.
    """
    own: list[list[str]] = []
    sbatch: list[Option] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--":
            return Split(own=own, sbatch=sbatch, rest=list(words[index + 1 :]), literal=True)
        if word == "-" or not word.startswith("-"):
            break
        name = _own_name(word, takes_value)
        if name in optional_number:
            width = 2 if "=" not in word and index + 1 < len(words) and words[index + 1].isdigit() else 1
        elif name:
            width = 2 if takes_value[name] and word == name else 1
        else:
            option, width = _sbatch(word, words[index + 1 : index + 2])
            sbatch.append(option)
        if index + width > len(words):
            raise errors.UsageError(f"{word} has no value")
        if name:
            own.append(list(words[index : index + width]))
        index += width
    return Split(own=own, sbatch=sbatch, rest=list(words[index:]))


def parse(words: Sequence[str]) -> list[Option]:
    """Words that are options of sbatch only.

    Raises:
        UsageError: something among them is no option.
    """
    found = split(words, {})
    if found.rest or found.literal:
        raise errors.UsageError(f"{' '.join(found.rest) or '--'!r} is no option of sbatch")
    return found.sbatch


def _own_name(word: str, takes_value: Mapping[str, bool]) -> str:
    long = word.split("=", 1)[0]
    name = long if word.startswith("--") else word[:2]
    return name if name in takes_value else ""


def _sbatch(word: str, following: Sequence[str]) -> tuple[Option, int]:
    """One option of sbatch, and how many words it took."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        attached = value if equals else None
    else:
        name, attached = word[:2], word[2:].removeprefix("=") or None
    long = SHORT.get(name, name)
    refuse_ours(long)
    if attached is not None or name in FLAGS:
        return Option(name=long, value=attached), 1
    if not following:
        raise errors.UsageError(f"{name} has no value", "options of sbatch are written as sbatch spells them")
    return Option(name=long, value=following[0]), 2


def refuse_ours(name: str) -> None:
    """Accept any option but those in `OURS`.

    Raises:
        UsageError: with what to do instead.
    """
    if name in OURS:
        raise errors.UsageError(f"{name} cannot be given to `ckptrun submit`", OURS[name])


def directive(option: Option) -> str:
    """The option as a line of a batch script, quoted as sbatch reads it.

    Raises:
        UsageError: a line cannot hold it.
    """
    if "\n" in option.word or "\r" in option.word:
        raise errors.UsageError(f"{option.name}: a batch script's option cannot hold a line break: {option.word!r}")
    return f"#SBATCH {option.name}" + ("" if option.value is None else _joined(option))


def _joined(option: Option) -> str:
    value = option.value or ""
    plain = value and not set(value) & set(" \t\"'\\#")
    quoted = value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"={quoted}" if option.name.startswith("--") else f" {quoted}"
