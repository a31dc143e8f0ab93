"""What the reading verbs share: the paper that stdout is, the time, who we are, and one document for programs."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ckptrun.report import paper

if TYPE_CHECKING:
    from ckptrun.model import Identity
    from ckptrun.report.paper import Paper


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


def print_document(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    from ckptrun.runs import documents  # noqa: PLC0415  # only with --json

    sys.stdout.write(documents.compact(document).decode())
    sys.stdout.write("\n")
