"""What is kept and what goes, and why: the rules one by one, what is protected, the gates, and what must hold of every policy."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptrun import errors, names
from ckptrun.config.keeping import KeepBest, KeepEvery, best, every
from ckptrun.model import Checkpoint
from ckptrun.policy import keeping, retention, roles
from ckptrun.policy.gates import Around
from ckptrun.policy.keeping import Policy
from ckptrun.policy.weights import Inode

DAY = 86400.0
NOW = 100 * DAY


def checkpoint(step, *, name="", directory="/r/checkpoints", layout="own", time=None, **more):
    name = name or f"step-{step:08d}"
    when = step * 3600.0 if time is None else time
    return Checkpoint(
        name=name, path=f"{directory}/{name}", directory=directory, layout=layout, step=step, time=when, size=100, **more
    )


def steps(*numbers, **more):
    return [checkpoint(number, **more) for number in numbers]


def decide(found, around=None, **policy):
    return retention.decide(found, Policy(**policy), around or Around(now=NOW))


def kept(found, around=None, **policy):
    return [judged.checkpoint.step for judged in decide(found, around, **policy).keep]


def why(decision, step):
    return next(judged.reasons for judged in [*decision.keep, *decision.remove] if judged.checkpoint.step == step)


NAN = math.nan
# (checkpoints, policy, steps that are kept, a step and its reasons)
TABLE = [
    (steps(1, 2, 3, 4), {"last": 2}, [3, 4], 3, ["last 2"]),
    (steps(1, 2, 3, 4), {"last": 2}, [3, 4], 1, ["no rule keeps it"]),
    (steps(1, 2, 3, 4), {"last": 2}, [3, 4], 4, ["the newest complete one", "last 2"]),
    (steps(1, 2, 3, 4), {"last": -1}, [1, 2, 3, 4], 1, ["all"]),
    (steps(1, 2, 3, 4), {"last": 9}, [1, 2, 3, 4], 1, ["last 9"]),
    (steps(1, 2, 3, 4), {"first": 1}, [1, 4], 1, ["first 1"]),
    (steps(1, 2, 3, 4), {"first": 1, "last": 2}, [1, 3, 4], 1, ["first 1"]),
    (steps(0, 500, 1000, 1001), {"every": [every("1000", "")]}, [0, 1000, 1001], 1000, ["every 1000 steps"]),
    (steps(17, 22, 27, 32), {"every": [every("7:greedy", "")]}, [17, 27, 32], 27, ["every 7 steps, greedy"]),
    (steps(4, 9, 12, 19), {"every": [every("10:closest", "")]}, [4, 9, 19], 9, ["every 10 steps, closest"]),
    (steps(0, 1, 2, 3, 4, 5), {"every": [every("2h", "")]}, [0, 2, 4, 5], 2, ["every 2h 00m"]),
    (steps(1, 2, 3), {"every": [every("-1", "")]}, [1, 2, 3], 1, ["all"]),
    (steps(1, 2, 3), {"every": [every("0", "")], "last": 1}, [3], 1, ["no rule keeps it"]),
    (
        [checkpoint(n, epoch=n / 2) for n in range(5)],
        {"every": [every("1epoch", "")]},
        [0, 2, 4],
        2,
        ["every 1 epochs"],
    ),
    (steps(1, 2, 3, 4), {"within": 3600.0}, [3, 4], 3, ["within 1h 00m of the newest"]),
    (steps(1, 2, 3, 4), {"within": -1.0}, [1, 2, 3, 4], 1, ["all"]),
    (
        [checkpoint(n, metrics={"loss": value}) for n, value in enumerate([3.0, 1.0, 2.0, NAN])],
        {"best": [best("2:loss", "")]},
        [1, 2, 3],
        2,
        ["best 2 (lowest loss): number 2"],
    ),
    (  # of equals the later; the mode decides
        [checkpoint(n, metrics={"acc": value}) for n, value in enumerate([0.9, 0.9, 0.1, 0.5])],
        {"best": [best("1:acc", "")]},
        [1, 3],
        1,
        ["best 1 (highest acc): number 1"],
    ),
    (
        [checkpoint(n, metrics={"x": value}) for n, value in enumerate([-math.inf, 5.0, 7.0, NAN])],
        {"best": [best("3:x:min", "")]},
        [1, 2, 3],  # what is no number is worse than any, the later one less so
        3,
        ["the newest complete one", "best 3 (lowest x): number 3"],
    ),
    (
        [checkpoint(0, metrics={"loss": 1.0}), checkpoint(1), checkpoint(2, metrics={"loss": 2.0}), checkpoint(3)],
        {"best": [best("1:loss", "")]},
        [0, 1, 3],
        1,
        ["it has no loss: nobody knows how good it is"],
    ),
    (
        [checkpoint(0, metrics={"loss": 1.0}), checkpoint(1), checkpoint(2, metrics={"loss": 2.0}), checkpoint(3)],
        {"best": [best("1:loss", "")], "without_metric": "remove"},
        [0, 3],
        1,
        ["no rule keeps it"],
    ),
    (steps(0, 1, 2), {"best": [best("1:loss", "")], "without_metric": "remove"}, [0, 1, 2], 0, None),  # nobody has it (yet)
    (steps(*range(50)), {"daily": 2}, [47, 49], 47, ["daily 2"]),
    (steps(*range(50)), {"daily": 4}, [0, 23, 47, 49], 0, ["daily: the oldest"]),
    (steps(*range(50)), {"daily": 4}, [0, 23, 47, 49], 23, ["daily 4"]),
    (steps(1, 2, 3, temporary=True), {"last": 9}, [3], 1, ["temporary, and a newer one is complete"]),
    ([checkpoint(1), checkpoint(2, temporary=True), checkpoint(3)], {"permanent": True}, [1, 3], 1, ["permanent"]),
    ([checkpoint(1), checkpoint(2, temporary=True), checkpoint(3)], {"last": 2}, [1, 3], 1, ["last 2"]),
]


@pytest.mark.parametrize(("found", "policy", "stay", "step", "reasons"), TABLE)
def test_a_rule(found, policy, stay, step, reasons):
    assert kept(found, **policy) == stay
    if reasons is not None:
        assert why(decide(found, **policy), step) == reasons


def test_what_is_protected_says_why():
    found = [
        checkpoint(1, roles=[roles.BEST]),
        checkpoint(2, roles=[roles.PINNED]),
        checkpoint(3, roles=[roles.POINTER]),
        checkpoint(4),
        checkpoint(5),
        checkpoint(6, time=NOW - 59),
        checkpoint(7, roles=[roles.RESUMED_FROM]),  # by an attempt that is over: nobody needs it any more
        checkpoint(8, time=8 * 3600),
    ]
    around = Around(now=NOW, in_use={found[3].path: "attempt 2 resumed from it"}, open={found[4].path: "python3 (pid 7)"})
    decision = decide(found, around, last=1)
    assert [why(decision, step) for step in range(1, 9)] == [
        ["the best"],
        ["pinned"],
        ["`latest` leads to it"],
        ["attempt 2 resumed from it"],
        ["open: python3 (pid 7)"],
        ["younger than a minute", "written last, though its step is not the highest"],
        ["no rule keeps it"],
        ["the newest complete one", "last 1"],
    ]


def test_whoever_holds_the_lease_knows_that_what_has_a_manifest_is_written():
    found = [*steps(1, 2, 3, time=NOW), checkpoint(4, layout="series", time=NOW), checkpoint(5, layout="series", time=NOW)]
    assert kept(found, Around(now=NOW), last=1) == [1, 2, 3, 4, 5]
    assert kept(found, Around(now=NOW, ours=True), last=1) == [3, 4, 5]


def test_a_clock_that_is_ahead_makes_nothing_old():
    assert kept(steps(1, 2, time=NOW + DAY), last=1) == [1, 2]


def test_only_complete_ones_count():
    found = [
        checkpoint(1),
        checkpoint(2, state=names.PARTIAL, reason="model.pt is missing"),
        checkpoint(3, state=names.CORRUPT, reason="cut"),
        checkpoint(4),
        checkpoint(5, state=names.UNKNOWN, reason="EIO"),
        checkpoint(6, state=names.PARTIAL, reason="it is being written"),
    ]
    decision = decide(found, last=2)
    assert [judged.checkpoint.step for judged in decision.remove] == [2, 3]
    assert why(decision, 2) == ["partial: model.pt is missing"]
    assert why(decision, 5) == ["it could not be read, which says nothing about it: EIO"]
    assert why(decision, 6) == ["partial, but no complete one is newer: it may be being written"]
    assert kept(found[1:3], last=1) == [2, 3]  # none is complete: nothing goes


def test_what_one_numbering_counts_is_a_family():
    gan = [
        checkpoint(n, name=f"{net}_{n}.pth", directory="/r/attempts/0001/output", layout="series")
        for n in (1, 2)
        for net in "DG"
    ]
    later = checkpoint(3, name="G_3.pth", directory="/r/attempts/0002/output", layout="series")
    decision = decide([*gan, later], last=1)
    assert sorted(judged.checkpoint.name for judged in decision.keep) == ["D_2.pth", "G_3.pth"]


@pytest.mark.parametrize(
    "policy", [{}, {"last": 0}, {"best": [KeepBest(count=0)]}, {"every": [every("0", "")]}, {"max_bytes": 0}]
)
def test_a_policy_that_keeps_nothing_is_refused(policy):
    with pytest.raises(errors.UsageError, match="nothing says what to keep"):
        decide(steps(1, 2), **policy)


def test_a_metric_that_cannot_be_meant_is_refused():
    with pytest.raises(errors.UsageError, match="cannot be told by its name") as caught:
        keeping.require(Policy(best=[best("2:lr", "")]))
    assert caught.value.hint == "--keep-best 2:lr:min or --keep-best 2:lr:max"
    with pytest.raises(errors.UsageError, match="no checkpoint has a metric 'los'") as caught:
        keeping.require_metrics(Policy(best=[best("2:los:min", "")]), [checkpoint(1, metrics={"loss": 1.0})])
    assert caught.value.hint == "there are: loss"
    keeping.require_metrics(Policy(best=[best("2:los:min", "")]), steps(1))


# --- the gates ---------------------------------------------------------------------------------------------------------
def test_a_gate_lets_the_oldest_go_until_it_is_met():
    found = steps(1, 2, 3, 4, 5)
    decision = decide(found, max_bytes=320)
    assert [judged.checkpoint.step for judged in decision.remove] == [1, 2]
    assert decision.freed == 200
    assert why(decision, 3) == ["it need not go: --max-bytes and --until-free are met"]
    assert kept(found, last=1, max_bytes=10_000) == [1, 2, 3, 4, 5]
    assert kept(found, Around(now=NOW, free=50), until_free=250) == [3, 4, 5]
    assert kept(found, Around(now=NOW, free=250), until_free=250) == [1, 2, 3, 4, 5]


def test_a_gate_takes_nothing_that_a_rule_keeps_and_says_what_is_missing():
    decision = decide(steps(1, 2, 3, 4), last=3, max_bytes=150)
    assert [judged.checkpoint.step for judged in decision.remove] == [1]
    assert decision.notes == [
        "300 B are more than --max-bytes 150 B: everything that is left is kept by a rule or protected"
    ]


def test_what_is_not_whole_goes_first():
    found = [checkpoint(1), checkpoint(2, state=names.CORRUPT, reason="cut"), checkpoint(3), checkpoint(4)]
    assert kept(found, max_bytes=300) == [1, 3, 4]


def test_hard_links_free_nothing_until_the_last_goes():
    """timm: `last.pth.tar` is another name of the newest `checkpoint-N.pth.tar`."""
    found = steps(1, 2, 3)
    shared = Inode(device=1, number=7, size=100, links=2)
    alone = {found[2].path: [Inode(device=1, number=9, size=100)]}
    around = Around(now=NOW, inodes={found[0].path: [shared], found[1].path: [shared], **alone})
    assert decide(found, around, last=2).freed == 0
    assert decide(found, around, last=1).freed == 100
    outside = Around(now=NOW, inodes={found[0].path: [shared], found[1].path: [Inode(device=1, number=8, size=1)], **alone})
    assert decide(found, outside, last=1).freed == 1


def test_thin_alone_removes_nothing():
    assert kept(steps(1, 2, 3), thin=True) == [1, 2, 3]


# --- what holds of every policy ----------------------------------------------------------------------------------------
numbers = st.integers(-1, 6)
RULES = st.one_of(
    st.builds(lambda n: {"last": n}, numbers),
    st.builds(lambda n: {"first": n}, numbers),
    st.builds(lambda n: {"hourly": n}, numbers),
    st.builds(lambda n: {"daily": n}, numbers),
    st.builds(lambda n: {"weekly": n}, numbers),
    st.builds(lambda n: {"monthly": n}, numbers),
    st.builds(lambda n: {"yearly": n}, numbers),
    st.builds(lambda n: {"within": float(n)}, st.integers(-1, 10**6)),
    st.builds(lambda n, m: {"best": [KeepBest(count=n, metric="m", mode=m)]}, numbers, st.sampled_from(["min", "max"])),
    st.builds(
        lambda n, k, h: {"every": [KeepEvery(kind=k, amount=n, how=h)]},
        st.integers(0, 9),
        st.sampled_from(["steps", "seconds", "epochs"]),
        st.sampled_from(["exact", "greedy", "closest"]),
    ),
    st.just({"permanent": True}),
)


@st.composite
def worlds(draw):
    """Checkpoints of one run, oldest first: steps ascend, times mostly do."""
    count = draw(st.integers(1, 12))
    step, when, found = 0, 0.0, []
    for _ in range(count):
        step += draw(st.integers(1, 5))
        when = max(0.0, when + draw(st.integers(-5000, 90000)))
        metric = draw(st.one_of(st.none(), st.floats(width=16)))
        found.append(
            checkpoint(
                step,
                time=when,
                epoch=draw(st.one_of(st.none(), st.just(step / 2))),
                metrics={} if metric is None else {"m": metric},
                temporary=draw(st.booleans()) and draw(st.booleans()),
                state=draw(st.sampled_from([names.COMPLETE] * 5 + [names.PARTIAL, names.UNKNOWN])),
                reason="so",
            )
        )
    return found


def together(parts):
    """One policy of many rules: of one rule given twice the larger, lists joined."""
    merged = {"last": 1}
    for part in parts:
        for name, value in part.items():
            before = merged.get(name)
            if isinstance(value, list):
                merged[name] = [*(before or []), *value]
            elif not isinstance(value, bool) and before is not None and (before < 0 or (0 <= value < before)):
                continue
            else:
                merged[name] = value
    return merged


@given(worlds(), st.lists(RULES, max_size=5))
@settings(max_examples=150, deadline=None)
def test_the_newest_complete_one_survives_every_policy(found, parts):
    newest = roles.latest(found)
    stay = kept(found, **together(parts))
    assert newest is None or newest.step in stay
    assert {item.step for item in found if item.state == names.UNKNOWN} <= set(stay)


@given(worlds(), st.lists(RULES, max_size=4), RULES)
@settings(max_examples=150, deadline=None)
def test_a_rule_more_never_keeps_less(found, parts, more):
    assert set(kept(found, **together(parts))) <= set(kept(found, **together([*parts, more])))


@given(worlds(), st.lists(RULES, max_size=5).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
@settings(max_examples=150, deadline=None)
def test_the_order_of_the_rules_does_not_matter(found, orders):
    assert kept(found, **together(orders[0])) == kept(found, **together(orders[1]))


@given(worlds(), st.lists(RULES, max_size=5), st.one_of(st.none(), st.integers(1, 1500)))
@settings(max_examples=150, deadline=None)
def test_twice_changes_nothing(found, parts, limit):
    policy = {**together(parts), "max_bytes": limit}
    once = decide(found, **policy)
    again = decide([judged.checkpoint for judged in once.keep], **policy)
    assert [judged.checkpoint for judged in again.keep] == [judged.checkpoint for judged in once.keep]
    assert not again.remove


def test_a_pointer_of_a_framework_is_called_so():
    found = [checkpoint(1, layout="deepspeed", roles=[roles.POINTER]), *steps(2, 3, layout="deepspeed")]
    assert why(decide(found, last=1), 1) == ["its framework's pointer leads to it"]
