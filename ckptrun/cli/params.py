"""Parameters that several verbs share: --root, --json, and names of runs, which the shell can complete."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ckptrun import config, errors, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    Function = TypeVar("Function", bound=Callable[..., Any])


class RunParam(click.ParamType[str]):
    """The name of a run; the shell completes the names of the runs under --root."""

    name = "run"

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """The runs under the root directory that begin with `incomplete`, sorted."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        return [
            CompletionItem(name) for name in run_names(_root_of(ctx, ctx.params.get("root"))) if name.startswith(incomplete)
        ]


class ReferenceParam(RunParam):
    """A reference; the shell completes runs, what stands after RUN/, RUN@ and DIR@ as far as the verb takes it, and paths."""

    name = "ref"

    def __init__(self, marks: str = "", paths: str = "") -> None:
        self._marks, self._paths = marks, paths

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """What `incomplete` could become."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        if any(mark in incomplete for mark in self._marks):
            from ckptrun.cli import desk  # noqa: PLC0415  # as above
            from ckptrun.report import completing  # noqa: PLC0415  # as above

            patterns = desk.layouts(ctx.params.get("patterns") or ())
            root = _root_of(ctx, ctx.params.get("root"))
            found = completing.inside(incomplete, self._marks, root=root, cwd=working_directory(), patterns=patterns)
            if found is not None:
                return [CompletionItem(each.value, help=each.told or None) for each in found]
        paths = [CompletionItem(incomplete, type=self._paths)] if self._paths else []
        return [*super().shell_complete(ctx, param, incomplete), *paths]


class FileParam(click.ParamType[str]):
    """Any text; the shell completes names of files or of directories; click.Path would also refuse what it cannot read."""

    def __init__(self, kind: str = "file") -> None:
        self.name = kind

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Leave it to the shell."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        return [CompletionItem(incomplete, type=self.name)]


RUN = RunParam()
ATTEMPT = ReferenceParam("/")
PLACE = ReferenceParam(paths="dir")
REF = ReferenceParam("/@", "file")
FILE = FileParam("file")
DIRECTORY = FileParam("dir")


def root_option(function: Function) -> Function:
    """`--root DIR` as the argument `root`: an absolute path, from the option, CKPTRUN_ROOT, the config file or ./runs."""
    return click.option(
        "--root",
        metavar="DIR",
        envvar=names.ENV_ROOT,
        is_eager=True,
        callback=_resolve_root,
        help=f"Where the runs are.  [default: $CKPTRUN_ROOT, root: in ./{names.DEFAULT_CONFIG}, ./{names.DEFAULT_ROOT}]",
    )(function)


def json_option(function: Function) -> Function:
    """`--json` as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(function)


def working_directory() -> str:
    """The current directory; a sentence if it was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise errors.IoFailure("the current directory does not exist any more", "cd to one that does") from None


def run_names(root: str) -> list[str]:
    """Names of what looks like a run under `root`, sorted; none if it cannot be read (a completion must not complain)."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if os.path.exists(os.path.join(entry.path, names.RUN_YAML)))
    except OSError:
        return []


def _resolve_root(ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    return _root_of(ctx, value)


def _root_of(ctx: click.Context, given: str | None) -> str:
    try:
        return config.find_root(given, os.environ, working_directory())
    except errors.CkptrunError:
        if ctx.resilient_parsing:  # while completing: there is nobody to tell
            return os.path.abspath(given or names.DEFAULT_ROOT)
        raise
