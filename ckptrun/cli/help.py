"""How every verb explains itself: usage, options in sections, examples, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ckptrun import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What a code means for most verbs; a verb overrides the sentence where it means something narrower.
CODES = {
    names.EXIT_OK: "done",
    names.EXIT_FAILURE: "it failed; the message says why",
    names.EXIT_USAGE: "the command line is wrong",
    names.EXIT_LEASED: "the run is held by somebody else",
    names.EXIT_CANNOT_CREATE: "a directory or file cannot be made",
    names.EXIT_IO: "reading or writing failed (disk or quota full among them)",
    names.EXIT_AGAIN: "stopped before the end: start me again",
    names.EXIT_CONFIG: "the configuration is wrong (all mistakes are listed)",
    names.EXIT_DO_NOT_RESTART: "do not start me again",
    names.EXIT_INTERRUPTED: "interrupted by Ctrl-C",
}
_MOST_COLUMNS = 100  # longer lines are hard to read, however wide the terminal
_NAME_COLUMNS = 28  # an option longer than this has its text in the next line


class Option(click.Option):
    """An option that knows under which heading of --help it stands."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Verb(click.Command):
    """A command whose --help ends with examples and exit codes."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[tuple[str, str]] = (),
        codes: dict[Any, str] | Sequence[int] = (0, 2),
        usages: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings = {
            "help_option_names": ["-h", "--help"],
            "max_content_width": _MOST_COLUMNS,
            **self.context_settings,
        }
        self.examples = examples
        self.codes = _codes(codes, looks_for_root=any(param.name == "root" for param in self.params))
        self.usages = usages

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line of usage, or each of `usages`."""
        if not self.usages:
            super().format_usage(ctx, formatter)
            return
        for number, usage in enumerate(self.usages):
            formatter.write_usage(ctx.command_path, usage, prefix="Usage: " if number == 0 else "       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options under their headings, in the order in which they were declared, in columns that line up."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and record[1]:
                last = next(
                    (title for title in reversed(sections) if title != "Arguments"), "Options"
                )  # where --help goes, which click adds
                heading = "Arguments" if isinstance(param, click.Argument) else getattr(param, "section", last)
                sections.setdefault(heading, []).append(record)
        width = max(len(name) for records in sections.values() for name, _ in records)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{name:<{min(width, _NAME_COLUMNS)}}", text) for name, text in records], col_max=_NAME_COLUMNS
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples and exit codes; an epilog, if there is one, before them."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line, why in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}# {why}\n")
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self.codes.items()], col_max=20)


def _codes(codes: dict[Any, str] | Sequence[int], *, looks_for_root: bool) -> dict[Any, str]:
    meanings = dict(codes) if isinstance(codes, dict) else {code: CODES[code] for code in codes}
    if looks_for_root:  # it may stand in the configuration file
        meanings.setdefault(names.EXIT_CONFIG, CODES[names.EXIT_CONFIG])
    return dict(sorted(meanings.items(), key=lambda item: int(str(item[0]).split()[0])))


def verb(
    name: str,
    *,
    examples: Sequence[tuple[str, str]],
    codes: dict[Any, str] | Sequence[int] = (0, 2),
    **settings: Any,
) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function the verb `name`: `examples` are (command line, what it is for), `codes` its exit codes.

    `codes` may be a list of codes, which then mean what they mean everywhere, or a dict from codes to sentences.
    """
    return click.command(name, cls=Verb, examples=examples, codes=codes, **settings)
