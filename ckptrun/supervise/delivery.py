"""Who gets a signal: the shallowest processes that catch it, and nobody else.

Below a process that was asked nobody is asked: DataLoader workers inherit the handlers of their rank.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ckptrun import names, units
from ckptrun.model import Noun
from ckptrun.supervise import golang, relays, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckptrun.model import Request
    from ckptrun.supervise.spec import Spec
    from ckptrun.supervise.tree import Masks, Proc

Key = tuple[int, int]
_STEADY = 3  # looks: a tenth of a second


class Sent(Noun, frozen=True):
    """One signal that one process was sent."""

    pid: int
    who: str
    number: int


class Delivery:
    """Delivers save signals; looks again as often as it is told, and sends nothing twice for one request."""

    def __init__(self, spec: Spec, root: int, command: int) -> None:
        self._signal = spec.save_signal
        self._runtimes_too = spec.save_signal_given
        self._root, self._command = root, command
        self._request = ""
        self._asked: set[Key] = set()
        self._below: set[Key] = set()  # descendants of somebody asked, also after they were orphaned
        self._seen: set[Key] = set()
        self._blocking: dict[Key, int] = {}  # who blocks the save signal, at how many looks in a row
        self._blocked_before: dict[Key, int] = {}

    def look(self, request: Request, *, read: bool = False) -> list[Sent]:
        """Signal whoever catches the save signal by now; for a stop that nobody catches, whoever catches SIGTERM.

        `read`: the script reads the request file (it said hello), so that a handler for SIGTERM is there for something else.
        """
        if request.id != self._request:
            self._request, self._asked = request.id, set()
        procs = tree.descendants(self._root)
        self._note_orphans(procs)
        self._blocked_before, self._blocking = self._blocking, {}
        sent = self._send(procs, self._signal, masks=self._with_steady_blocks, runtimes_too=self._runtimes_too)
        if request.action == names.SAVE_AND_STOP:
            if not self._asked and not read:
                sent += self._send(procs, signal.SIGTERM, masks=_by_handler_only, runtimes_too=False)
            for each in procs:
                if each.state == tree.STOPPED:  # it could not act on anything
                    tree.send(each, signal.SIGCONT)
        self._seen.update(each.key for each in procs)
        return sent

    def _send(self, procs: list[Proc], number: int, *, masks: Callable[[Proc], Masks], runtimes_too: bool) -> list[Sent]:
        chosen = catchers(procs, number, runtimes_too=runtimes_too, covered=self._below, closed=self._asked, masks=masks)
        sent = [Sent(each.pid, tree.describe(each), number) for each in chosen if tree.send(each, number)]
        self._asked.update(each.key for each in chosen)
        self._below.update(below(procs, self._asked))
        return sent

    def _with_steady_blocks(self, each: Proc) -> Masks:
        """Starting a process blocks everything for a millisecond: who blocks the save signal does so at several looks in a row."""
        masks = tree.masks(each.pid)
        if not _has(masks.blocked, self._signal) or masks.starting:
            return replace(masks, blocked=0)
        looks = self._blocking[each.key] = self._blocked_before.get(each.key, 0) + 1
        return masks if looks >= _STEADY else replace(masks, blocked=0)

    def _note_orphans(self, procs: list[Proc]) -> None:
        """Who appears as our own child after somebody was asked was orphaned unseen: whose it was cannot be known."""
        if self._asked:
            new = (each for each in procs if each.parent == self._root and each.pid != self._command)
            self._below.update(each.key for each in new if each.key not in self._seen)


def catchers(
    procs: list[Proc],
    number: int,
    *,
    runtimes_too: bool,
    covered: Iterable[Key] = (),
    closed: Iterable[Key] = (),
    masks: Callable[[Proc], Masks],
    kind: Callable[[int], str] | None = None,
) -> list[Proc]:
    """The shallowest of `procs` (parents first) that catch the signal; relays, and runtimes that own it, are looked through.

    Args:
        procs: the tree.
        number: the signal.
        runtimes_too: it is the user's word that runtimes handle the signal.
        covered: processes that never get it, nor what is below them.
        closed: processes that had it already; nor what is below them.
        masks: what a process does with signals.
        kind: relay, runtime or neither.
    """
    kind = kind or kind_of
    done = set(covered) | set(closed)
    quiet: set[int] = {each.pid for each in procs if each.key in done}
    chosen = []
    for each in procs:
        if each.pid in quiet or each.parent in quiet:
            quiet.add(each.pid)
        elif _catches(masks(each), number) and _may_be_asked(kind(each.pid), runtimes_too=runtimes_too):
            chosen.append(each)
            quiet.add(each.pid)
    return chosen


def below(procs: list[Proc], asked: set[Key]) -> set[Key]:
    """All descendants of those who were asked."""
    pids = {each.pid for each in procs if each.key in asked}
    found = set()
    for each in procs:
        if each.parent in pids:
            pids.add(each.pid)
            found.add(each.key)
    return found


def kind_of(pid: int) -> str:
    """relays.RELAY, ELSEWHERE, RUNTIME or neither, of a living process."""
    kind, _ = relays.kind(tree.argv(pid))
    return kind or (relays.RUNTIME if golang.is_go(pid) else "")


def _catches(masks: Masks, number: int) -> bool:
    """By a handler, or by blocking it to wait for it: the command was started with an empty mask."""
    return _has(masks.caught | masks.blocked, number) and not _has(masks.ignored, number)


def _by_handler_only(each: Proc) -> Masks:
    return replace(tree.masks(each.pid), blocked=0)


def _has(mask: int, number: int) -> bool:
    return bool(mask >> (number - 1) & 1)


def _may_be_asked(kind: str, *, runtimes_too: bool) -> bool:
    """Clients of what runs elsewhere (srun, docker) pass a signal on; like runtimes they get it on the user's word only."""
    return not kind or (runtimes_too and kind in (relays.RUNTIME, relays.ELSEWHERE))


# --- before anything runs ------------------------------------------------------------------------------------------------
def foretell(argv: list[str], spec: Spec) -> list[str]:
    """Sentences for `--dry-run`: who will get which signal, from the command line alone."""
    save = signal.Signals(spec.save_signal).name
    chain = relays.chain(argv)
    sentences = [_about(kind, name, save, given=spec.save_signal_given) for kind, name, _ in chain if kind]
    work = next((words for kind, _, words in chain if not kind), None)
    who = f"`{' '.join(work[:3])}` and what it starts" if work else "what that starts"
    far = next((name for kind, name, _ in chain if kind == relays.ELSEWHERE), "")
    if far:
        who = f"what {far} starts on this machine, if that is below ckptrun,"
    first = f"a save is asked for in the request file; a stop also by {save}, sent to the shallowest of {who} that catch it"
    plain = "a plain save sends no signal unless the script says that it goes on (--signal-means save, or `import ckptrun`)"
    if spec.signal_means == "save":
        plain = f"a plain save sends {save} to the same, as --signal-means says that the script goes on"
    last = f"at the end SIGTERM to the whole tree, and SIGKILL {units.duration(spec.term_to_kill)} later to what is left"
    return [*sentences, first, f"if none catches {save}, whoever catches SIGTERM gets that to save and stop", plain, last]


def _about(kind: str, name: str, save: str, *, given: bool) -> str:
    if kind == relays.RELAY:
        return f"{name} is looked through: it would die of {save}, or pass it on to everybody"
    if kind == relays.RUNTIME and given:
        return f"{name} gets {save}, as --save-signal is your word that the program handles it"
    if kind == relays.RUNTIME:
        why = relays.WHY_RUNTIME.get(name, f"{name} catches signals itself")
        return f"{name} gets no {save} ({why}) unless --save-signal says that the program handles it"
    if name == "srun":
        ends = "at the end its step is ended with scancel, as SIGTERM would make srun kill its ranks"
        return (
            f"srun passes {save} on to its ranks; " if given else f"srun gets no {save} unless --save-signal is given; "
        ) + ends
    sent = f"{name} is sent {save} to pass it on" if given else f"no {save} is sent to {name} unless --save-signal is given"
    return f"what {name} starts is not below ckptrun, so that it is not seen and not ended by it; {sent}"
