"""How a shell asks for completions and is answered; bash as click has it not: its words end at @, : and =, which references hold."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from click.shell_completion import BashComplete, get_completion_class, split_arg_string

from ckptrun import errors, names
from ckptrun.cli import boundary

if TYPE_CHECKING:
    from click import Command
    from click.shell_completion import CompletionItem, ShellComplete

# What bash replaces is its $2, the end of the last word; a whole line is handed over, and only what belongs into that place comes back.
_BASH = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            dir) if ((${#COMPREPLY[@]})); then compopt -o plusdirs; else compopt -o dirnames; fi ;;
            file) if ((${#COMPREPLY[@]})); then compopt -o plusdirs; else compopt -o default; fi ;;
        esac
    done < <(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_WORD=$2 %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_PLAIN = re.compile(r"[^\w@%+=:,./~-]")  # what bash takes for itself unless a backslash stands before it


class Bash(BashComplete):
    """Completion for bash 4.4 or later."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        if line[-1:].isspace() and not line.rstrip(" ").endswith("\\"):
            return words[1:], ""
        return words[1:-1], words[-1] if len(words) > 1 else ""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """One line; of a word the part that takes the place of what bash takes for one."""
        if item.type != "plain":
            return super().format_completion(item)
        typed, word = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_WORD", "")
        value = _PLAIN.sub(r"\\\g<0>", item.value)
        before = _last_word(typed).removesuffix(word)
        return f"plain,{value.removeprefix(before)}"


def _last_word(line: str) -> str:
    """As it was typed, from its first letter on: a blank after a backslash ends no word."""
    found = re.search(r"(?:\\.|[^\s\\])*\\?$", line)
    return found[0] if found else ""


def script(shell: str, group: Command, program: str, variable: str) -> str:
    """The completion script of a shell."""
    return _class(shell)(group, {}, program, variable).source()


def answer(group: Command, program: str, variable: str) -> int:
    """Answer the shell that asks; with nothing, rather than a word between two keys, where it cannot be told."""
    shell, _, asked = os.environ[variable].partition("_")
    try:
        completion = _class(shell)(group, {}, program, variable)
        text = completion.source() if asked == "source" else completion.complete() + "\n"
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt):
        if os.environ.get(boundary.DEBUG):
            raise
    return names.EXIT_OK


def _class(shell: str) -> type[ShellComplete]:
    found = Bash if shell == Bash.name else get_completion_class(shell)
    if found is None:
        raise errors.UsageError(f"no completion for {shell}")
    return found
