"""`ckptrun prune`: remove checkpoints that nobody asked to keep. Without --yes it only says which, and why."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import click

from ckptrun import config, errors, names
from ckptrun.checkpoints import emptying
from ckptrun.cli import desk, ls, train, words
from ckptrun.cli.help import Option, Verb
from ckptrun.cli.params import PLACE, json_option, root_option, working_directory
from ckptrun.policy import keeping as policies
from ckptrun.report import gather, working
from ckptrun.report import pruned as report
from ckptrun.session import pruning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.config import Config
    from ckptrun.policy.keeping import Policy
    from ckptrun.report.gather import Wish
    from ckptrun.session.pruning import Place, Pruned

_EXAMPLES = [
    ("ckptrun prune digits-3f9a1c --keep-last 3 --keep-best 2", "what would stay, what would go, and why"),
    ("ckptrun prune digits-3f9a1c --keep-last 3 --keep-best 2 --yes", "do it"),
    ("ckptrun prune ./output/checkpoint-dir --keep-daily 7 --keep-every 10000 --yes", "any directory"),
    ("ckptrun prune --keep-last 1 --keep-best 1 'sweep-*' --yes", "every run of that name, each by itself"),
]
_CODES = {
    names.EXIT_OK: "done, or there is nothing to do",
    names.EXIT_USAGE: "the command line is wrong, or nothing says what to keep",
    names.EXIT_LEASED: "a run is being started by somebody else at this moment",
    names.EXIT_IO: "something could not be read, or could not be removed",
    names.EXIT_CONFIG: "the configuration is wrong (all mistakes are listed)",
}
_EPILOG = f"""\
Kept is whatever any rule keeps; 0 means none, -1 all. The same settings can stand under retention: in ./{names.DEFAULT_CONFIG}.

Never removed: the newest complete one, the best, what a pointer leads to, what is pinned, open or younger than a minute, what the
newest attempt resumed from and what another run was branched from, and what cannot be read. What is not complete never counts.
"""


def run(ctx: click.Context, what: tuple[str, ...], *, yes: bool, wait: bool, root: str, as_json: bool, **_: object) -> int:
    """Remove checkpoints of runs and directories, except those that are asked to be kept. Without --yes nothing is removed."""
    settings = _settings(ctx)
    policy = policies.of(settings)
    policies.require(policy)
    wish = gather.Wish(patterns=desk.layouts(settings.patterns))
    what = tuple(dict.fromkeys(ls.expanded(what, root)))
    with working.busy("looking at checkpoints", desk.err()):
        places = [_place(each, root, wish) for each in what]
    policies.require_metrics(policy, [item for place in places for item in place.checkpoints])
    done: list[Pruned] = []
    for each, place in zip(what, places, strict=True):
        credit = sum(other.decision.freed for other in done if pruning.same_disk(other.place, place))
        look = functools.partial(_place, each, root, wish)
        done.append(_prune(each, place, look, policy, credit) if yes else _only_decided(place, policy, credit))
    left = [line for pruned in done for line in pruned.left] + (_finish(places, wait=wait) if yes else [])
    if as_json:
        desk.print_document(report.document([pruned.decision for pruned in done], left, dry_run=not yes))
    else:
        _print(what, done, dry_run=not yes)
    for line in left:
        words.error(line)
    return names.EXIT_IO if left else names.EXIT_OK


def _settings(ctx: click.Context) -> Config:
    """From the options, CKPTRUN_TRAIN_KEEP_… and `retention:` in the file, as a training's."""
    taken = (*config.RETENTION, "config", "patterns")
    given = {name: text for name, text in train.given(ctx).items() if name in taken}
    return config.load(given, os.environ, working_directory(), verb="prune")


def _place(what: str, root: str, wish: Wish) -> Place:
    """The checkpoints that an argument names, and the run that they belong to.

    Raises:
        UsageError: it names none, or a directory that holds runs: those are pruned one by one, each with its own lease.
    """
    found = ls.look_up(what, root, wish)
    if not found.whole:
        raise errors.UsageError(
            f"{what} is a part of a run or a directory, and what goes depends on all that is there",
            "prune RUN or DIR; `ckptrun pin` keeps a checkpoint whatever the rules say",
        )
    run = gather.run_around(found.base)
    gather.require_no_runs(found.base, found.checkpoints)
    return pruning.Place(checkpoints=pruning.without_copies(found.checkpoints), run=run, root=root)


def _only_decided(place: Place, policy: Policy, credit: int) -> Pruned:
    return pruning.Pruned(place=place, decision=pruning.decide(place, policy, desk.now(), credit=credit))


def _prune(what: str, place: Place, look: Callable[[], Place], policy: Policy, credit: int) -> Pruned:
    asked = pruning.Asked(policy=policy, me=desk.me(), by=desk.who(), credit=credit)
    with working.busy(f"removing checkpoints of {what}", desk.err()):
        return pruning.prune(place.run, look, asked, clock=desk.now)


def _finish(places: Sequence[Place], *, wait: bool) -> list[str]:
    """Unlink what lies in the trash: here, or in a process that nobody waits for."""
    if wait:
        with working.busy("unlinking", desk.err()):
            return [line for place in places for line in pruning.finish(place)]
    waiting = sorted({trash for place in places for trash in pruning.waiting(place)})
    if waiting:
        emptying.begin(waiting)
    return []


def _print(what: Sequence[str], done: Sequence[Pruned], *, dry_run: bool) -> None:
    page = desk.out()
    rows = [report.rows(pruned.decision, [item.path for item in pruned.place.checkpoints]) for pruned in done]
    if not page.terminal:
        page.table(report.COLUMNS, [row for each in rows for row in each])
    else:
        for name, each in zip(what, rows, strict=True):
            if len(rows) > 1:
                page.heading(name)
            page.table(report.COLUMNS, each)
    for note in (note for pruned in done for note in pruned.decision.notes):
        words.say(f"warning: {note}")
    words.say(report.footer([pruned.decision for pruned in done], dry_run=dry_run))


command = Verb(
    "prune",
    callback=click.pass_context(run),
    help=run.__doc__,
    epilog=_EPILOG,
    examples=_EXAMPLES,
    codes=_CODES,
    params=[
        click.Argument(["what"], nargs=-1, required=True, type=PLACE, metavar="RUN|DIR..."),
        *(train.option("Keeping", *row) for row in train.KEEPING),
        train.option(
            "This call",
            "--pattern",
            "NAME",
            f"How your checkpoints are called: 'ckpt-{{epoch:02d}}.pt'.  [default: patterns: in ./{names.DEFAULT_CONFIG}]",
        ),
        Option(["--yes"], section="This call", is_flag=True, help="Remove what goes."),
        Option(
            ["--wait"], section="This call", is_flag=True, help="Return when the space is free, not when the names are gone."
        ),
        train.option(
            "This call", "--config", "FILE", f"Settings in YAML.  [default: ./{names.DEFAULT_CONFIG}, if it is there]"
        ),
    ],
)
root_option(command)
json_option(command)
