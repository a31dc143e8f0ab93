"""A shell script as a list of simple commands: which words, where, in what. Enough to judge a batch script by; nothing is run. Pure.

Quotes, line continuations, here-documents and comments are read as a shell does; what stands in a variable or in `$(…)` is not
looked into.
"""

from __future__ import annotations

import re

from ckptrun.model import Noun

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<redirect>\d*(?:<<-?|[<>]{1,3})&?(?:\d+|-)?|&>>?)
    |(?P<op>\n|;;|&&|\|\||\|&|[;&|()])
    |(?P<space>(?:[^\S\n]|\\\n)+)
    |(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|`[^`]*`|[^\s;&|()<>'"\\`])+)
    |(?P<stray>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"\\\n|\\(.)|'([^']*)'|\"((?:\\.|[^\"\\])*)\"", re.DOTALL)
_OPENS = {"if": "if", "while": "loop", "until": "loop", "for": "loop", "select": "loop", "case": "case", "{": "group"}
_CLOSES = ("fi", "done", "esac", "}")
_GOES_ON = ("then", "else", "elif", "do", "!", "time", "if", "while", "until", "{")  # a command follows in the same breath


class Statement(Noun, frozen=True, kw_only=True):
    """One simple command."""

    words: list[str]  # unquoted
    line: int
    inside: list[str] = []  # of what, outermost first: if, loop, case, group, function, subshell
    after: str = ""  # the operator that follows: & | && || ; …
    before: str = ""  # and the one in front of it

    @property
    def piped(self) -> bool:
        """It is a part of a pipeline, so that the shell runs it in a process of its own."""
        return bool({self.after, self.before} & {"|", "|&"})


def read(script: str) -> list[Statement]:
    """All simple commands, in the order of the text."""
    return _Reader(script).statements()


class _Reader:
    def __init__(self, script: str) -> None:
        self._script = script
        self._at, self._line = 0, 1
        self._found: list[Statement] = []
        self._inside: list[str] = []
        self._words: list[str] = []
        self._begun, self._before = 1, ""
        self._documents: list[str] = []  # here-documents that begin after this line
        self._document = False  # the next word names one
        self._target = False  # the next word is a file

    def statements(self) -> list[Statement]:
        while self._at < len(self._script):
            token = _TOKEN.match(self._script, self._at)
            assert token is not None  # every character is something
            self._at = token.end()
            self._take(token.lastgroup or "", token[0])
            self._line += token[0].count("\n")
            if token[0] == "\n":
                self._skip_documents()
        self._end("")
        return self._found

    def _take(self, kind: str, text: str) -> None:
        if kind == "redirect":
            self._document = "<<" in text and "<<<" not in text
            self._target = self._document or not text.endswith((*"0123456789", "-"))
        elif kind == "word":
            self._word(text)
        elif kind == "op":
            self._operator(text)

    def _word(self, text: str) -> None:
        word = _unquoted(text)
        if self._document:
            self._documents.append(word)
        elif not self._target:
            if not self._words:
                self._begun = self._line
            self._words.append(word)
            self._keyword(word)
        self._document = self._target = False

    def _keyword(self, word: str) -> None:
        if self._words[0] == "function" and word == "{":
            self._words, self._inside = [], [*self._inside, "function"]
        if len(self._words) != 1:
            return
        if word in _OPENS:
            function = word == "{" and self._inside[-1:] == ["name"]
            self._inside = [*(self._inside[:-1] if function else self._inside), "function" if function else _OPENS[word]]
        elif word in _CLOSES and self._inside:
            self._inside.pop()
        if word in _GOES_ON or word in _CLOSES:
            self._words = []

    def _operator(self, text: str) -> None:
        top = self._inside[-1:]
        if text == "(" and self._words and self._words[-1].endswith("="):
            self._inside.append("array")
        elif text == "(" and self._words:  # name (), or something that a shell would refuse
            self._words, self._inside = [], [*self._inside, "name"]
        elif text == "(":
            self._inside.append("subshell")
        elif text == ")" and top == ["case"]:  # the end of a pattern
            self._words = []
        elif text == ")" and top != ["name"]:
            self._end(text)
            if self._inside:
                self._inside.pop()
        elif text != ")":
            self._end(text)

    def _end(self, operator: str) -> None:
        if self._words and "array" not in self._inside:
            inside = [each for each in self._inside if each != "name"]
            self._found.append(
                Statement(words=self._words, line=self._begun, inside=inside, after=operator, before=self._before)
            )
        if self._words or operator != "\n":
            self._before = operator
        self._words = []
        self._document = self._target = False

    def _skip_documents(self) -> None:
        for name in self._documents:
            while self._at < len(self._script):
                end = self._script.find("\n", self._at)
                line = self._script[self._at : end if end >= 0 else None]
                self._at = end + 1 if end >= 0 else len(self._script)
                self._line += 1
                if line.strip("\t") == name:
                    break
        self._documents = []


def _unquoted(text: str) -> str:
    return _QUOTED.sub(lambda match: next((group for group in match.groups() if group is not None), ""), text)
