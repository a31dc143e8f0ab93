"""The world that a commit is struck in: one run, one checkpoint that was acknowledged before, the lease of attempt 2."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
import support
from crash.harness import Case

from ckptrun import names
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.policy.cadence import Every

SCRIPT = os.path.join(os.path.dirname(__file__), "commit_script.py")
FIRST = "step-00000000"


def environment(root, attempt):
    return {
        names.ENV: "1",
        names.ENV_RUN: "digits",
        names.ENV_RUN_DIR: root,
        names.ENV_ATTEMPT: str(attempt),
        names.ENV_ATTEMPT_ID: f"id-of-{attempt}",
        names.ENV_CHECKPOINT_DIR: os.path.join(root, names.CHECKPOINTS),
        names.ENV_OUTPUT_DIR: os.path.join(root, names.ATTEMPTS, f"{attempt:04d}", names.OUTPUT),
    }


def prepare(root):
    for attempt in (1, 2):
        os.makedirs(os.path.join(root, names.ATTEMPTS, f"{attempt:04d}", names.OUTPUT))
        if attempt == 1:
            continue
        shutil.rmtree(os.path.join(root, names.ATTEMPTS, "0002"))
        _save_first(root)
        os.makedirs(os.path.join(root, names.ATTEMPTS, "0002", names.OUTPUT))
    _lease(root, 2)


def _save_first(root):
    _lease(root, 1)
    with Run(Place(environment(root, 1)), Every(), agree=None, signals=False).checkpoint(0) as folder:
        (folder / "state.pt").write_bytes(b"first" * 100)


def _lease(root, attempt):
    support.write_files(root, {names.LEASE_JSON: json.dumps({"attempt_id": f"id-of-{attempt}"})})


@pytest.fixture
def commit_case():
    """The commit as it is, or with a mutant's `package`; `{root}` as argument lets another attempt take the run over."""

    def make(*arguments, package="", steps="1,2,2"):
        def env(root):
            return {**environment(root, 2), **({"PYTHONPATH": package} if package else {})}

        return Case(
            prepare,
            lambda root: [sys.executable, SCRIPT, steps, *(argument.format(root=root) for argument in arguments)],
            env,
        )

    return make
