"""A commit, killed at every system call and with every one of them failing; and a power cut after every one.

Each time: what was acknowledged is there and whole, nothing half-written bears a final name, the next start goes on from the newest,
and no error is silent. Copies of the commit that lack a part of it must be caught by the same checks.
"""

import os
import shutil

import pytest
from crash.harness import ERRORS
from crash.mutants import MUTANTS, mutant
from crash.power import Disk
from crash.promise import acknowledged, breaches, leftovers

FIRST = "step-00000000"  # was acknowledged before


def struck(case, place, calls, errors):
    """Every breach of the promise when `calls` are struck: by a kill for each, and by each of `errors(call)`."""
    for call in calls:
        with case.killed(place, call) as ran:
            yield from judged(ran, f"killed at {call}")
        for error in errors(call):
            with case.failed(place, call, error) as ran:
                yield from judged(ran, f"{error} at {call}")
                if ran.silent:
                    yield f"{error} at {call}: it was silent"


def judged(ran, where):
    assert ran.fired, f"not reached: {where}"
    acks = [FIRST, *acknowledged(ran.stdout)]
    yield from (f"{where}: {breach}" for breach in breaches(ran.root, acks))
    yield from (f"{where}: {left} is left" for left in leftovers(ran.root, 3))


def powerless(case, place):
    """Every breach of the promise when the power is cut after each call that changes or syncs something."""
    with case.baseline(place) as ran:
        trace, root = ran.trace, ran.root
    os.mkdir(root)
    case.prepare(root)
    disk = Disk(root)
    shutil.rmtree(root)
    for number, line in enumerate(disk.replay(trace)):
        home = os.path.join(place, f"cut-{number}")
        os.mkdir(home)
        acks = [FIRST, *acknowledged(disk.said.decode())]
        for world in (disk.forgotten(home), disk.names_first(home)):
            yield from (f"power cut after {line[:120]}: {breach}" for breach in breaches(world, acks))
        shutil.rmtree(home)


def test_killed_and_failing_at_every_fifth_call(commit_case, tmp_path):
    case = commit_case()
    calls = case.calls(tmp_path)
    assert len(calls) > 45
    found = list(struck(case, tmp_path, calls[::5], lambda call: [ERRORS[call.number % 3]]))
    assert not found, "\n".join(found)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_killed_and_failing_at_every_call(commit_case, tmp_path):
    case = commit_case()
    found = list(struck(case, tmp_path, case.calls(tmp_path), lambda _: ERRORS))
    assert not found, "\n".join(found)


def test_a_power_cut_after_every_call(commit_case, tmp_path):
    found = list(powerless(commit_case(), tmp_path))
    assert not found, "\n".join(found)


def test_a_run_that_was_taken_over_is_not_written_to(commit_case, tmp_path):
    found = list(overtaken(commit_case("{root}"), tmp_path))
    assert not found, "\n".join(found)


def overtaken(case, place):
    """Every breach when another attempt takes the run over while the block runs."""
    with case.ran(place) as ran:
        if acknowledged(ran.stdout) or "LeaseLost" not in ran.stderr:
            yield f"it was not noticed: {ran.stdout}{ran.stderr}"
        names = sorted(os.listdir(os.path.join(ran.root, "checkpoints")))
        if names != ["latest", FIRST]:
            yield f"it has written: {names}"


@pytest.mark.parametrize("name", MUTANTS)
def test_what_lacks_a_part_of_the_commit_is_caught(name, commit_case, tmp_path):
    package = mutant(name, tmp_path)
    if name == "no lease check":
        found = list(overtaken(commit_case("{root}", package=package), tmp_path))
    elif name == "no temporary name":
        case = commit_case(package=package, steps="1,2")
        found = list(struck(case, tmp_path, case.calls(tmp_path)[4:30:5], lambda _: ()))
    else:
        found = list(powerless(commit_case(package=package), tmp_path))
    assert found, "nobody noticed"
