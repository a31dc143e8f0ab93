"""What the reading verbs share: the paper that stdout is, the time, who we are, and one document for programs."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ckptrun import config, names
from ckptrun.cli import params
from ckptrun.policy import roles
from ckptrun.report import paper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.model import Identity
    from ckptrun.report.paper import Paper

    Function = TypeVar("Function", bound=Callable[..., Any])


def out() -> Paper:
    """The paper for data: stdout."""
    return paper.paper(sys.stdout, os.environ)


def err() -> Paper:
    """The paper for words about the work: stderr."""
    return paper.paper(sys.stderr, os.environ)


def now() -> float:
    """Unix seconds."""
    return time.time()


def me() -> Identity:
    """Who we are on this machine."""
    from ckptrun import platforms  # noqa: PLC0415  # only verbs that look at processes need it

    return platforms.detect(os.environ).identity()


def who() -> str:
    """`ana@login1`, as requests and marks name whoever asks."""
    import pwd  # noqa: PLC0415  # as above

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's made-up user
        user = f"uid {os.geteuid()}"
    return f"{user}@{os.uname().nodename}"


def metric_options(function: Function) -> Function:
    """`--metric NAME` and `--mode` as the arguments `metric` and `mode`: what picks the best checkpoint."""
    metric = click.option(
        "--metric", default="", metavar="NAME", help="Metric of the best.  [default: a validation metric, else a loss]"
    )
    ends = click.Choice([roles.MIN, roles.MAX, roles.AUTO])
    mode = click.option("--mode", type=ends, default=roles.AUTO, help="Which end of it is better.  [default: by its name]")
    return metric(mode(function))


def pattern_option(function: Function) -> Function:
    """`--pattern NAME` as the argument `patterns`: how somebody's checkpoints are called."""
    return click.option(
        "--pattern",
        "patterns",
        multiple=True,
        metavar="NAME",
        help="How your checkpoints are called: 'ckpt-{epoch:02d}-{val_loss:.2f}.keras'.  "
        f"[default: patterns: in ./{names.DEFAULT_CONFIG}]",
    )(function)


def layouts(given: Sequence[str]) -> tuple[Layout, ...]:
    """The layouts of what the user's patterns name, those that were given or those in the file.

    Raises:
        UsageError: one cannot be understood.
        ConfigError: the file is wrong.
    """
    patterns = config.find_patterns(given, os.environ, params.working_directory())
    if not patterns:
        return ()
    from ckptrun.layouts import patterns as made  # noqa: PLC0415  # only where there are patterns

    return made.layouts(patterns)


def only_option(function: Function) -> Function:
    """`--only PATTERN` as the argument `only`: some of the tensors."""
    return click.option(
        "--only", multiple=True, metavar="PATTERN", help="Only tensors whose names match, as 'model.*'. May be repeated."
    )(function)


def print_document(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    from ckptrun.runs import documents  # noqa: PLC0415  # only with --json

    sys.stdout.write(documents.compact(document).decode())
    sys.stdout.write("\n")
