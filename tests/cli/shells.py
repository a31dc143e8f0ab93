"""Real shells on a real terminal: text is typed, Tab is pressed, and the line that came of it is read back."""

from __future__ import annotations

import os
import re

import support
from supervise.screen import Screen

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x07\x08]")
TAB, DUMP, CLEAR = "\t", "\x07", "\x15"  # Ctrl-G says what stands in the line, Ctrl-U empties it
_BASH = r"""
PS1='ready> '; PS2=
bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set completion-query-items 0'; bind 'set bell-style none'
bind -x '"\C-g": printf "\n<<%s>>\n" "$READLINE_LINE"'
eval "$(ckptrun completion bash)"
"""
# Nothing that says what stands in the line may hand the terminal back meanwhile (zle -I): what is typed then is lost.
_ZSH = r"""
PS1='ready> '; setopt no_beep no_auto_menu; unsetopt prompt_sp; LISTMAX=9999
autoload -Uz compinit; compinit -u -D
dump() { print -r -- "<<$BUFFER>>" }; zle -N dump; bindkey '^G' dump
eval "$(ckptrun completion zsh)"
"""
_FISH = r"""
function fish_prompt; echo 'ready> '; end; function fish_greeting; end; set -g fish_autosuggestion_enabled 0
bind \cg 'echo; echo "<<"(commandline)">>"; commandline -f repaint'
ckptrun completion fish | source
"""
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], _BASH),
    "zsh": (["zsh", "-f", "-i"], _ZSH),
    "fish": (["fish", "--no-config", "-i"], _FISH),
}


class Shell(Screen):
    """An interactive shell that knows ckptrun's completions."""

    def __init__(self, name, cwd):
        argv, setup = START[name]
        path = os.path.dirname(support.ckptrun_argv()[0]) + os.pathsep + os.environ["PATH"]
        env = {"HOME": str(cwd), "PATH": path, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HISTFILE": os.devnull}
        support.write_files(cwd, {".setup": setup})
        super().__init__(["env", *(f"{key}={value}" for key, value in env.items()), *argv], cwd, rows=200, columns=100)
        self.type("source ./.setup\r")
        self.wait_for("ready> ")
        self._line("")

    def becomes(self, typed):
        """What `typed` and a Tab make of the line."""
        return self._line(typed + TAB)

    def offers(self, typed):
        """The words, among others of the screen, that are shown once `typed` and a Tab or two have been typed."""
        before = len(self.text)
        self._line(typed + TAB + TAB)
        return set(_CONTROL.sub(" ", self.text[before:]).split())

    def _line(self, keys):
        self.type(CLEAR + keys + DUMP)
        return self.wait_for("<<([^<>]*)>>")[1]
