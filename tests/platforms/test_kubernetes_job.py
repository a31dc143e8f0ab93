"""The README's manifest of a Job: its fields are the API's, its rules do what the exit codes mean, its command runs."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import support
import yaml

from ckptrun import names

if TYPE_CHECKING:
    from pathlib import Path

# Fields as the API reference has them (batch/v1 Job, core/v1 PodSpec and Container): (type of the value, what may be in it)
CONTAINER = {
    **dict.fromkeys(("name", "image", "imagePullPolicy", "workingDir"), str),
    "command": [str],
    "args": [str],
    "env": [{"name": str, "value": str}],
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "readOnly": bool}],
    "resources": {"limits": {}, "requests": {}},
}
POD_SPEC = {
    "restartPolicy": str,
    "terminationGracePeriodSeconds": int,
    "activeDeadlineSeconds": int,
    "serviceAccountName": str,
    "containers": [CONTAINER],
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str, "readOnly": bool}}],
}
ON_EXIT_CODES = {"containerName": str, "operator": str, "values": [int]}
RULE = {"action": str, "onExitCodes": ON_EXIT_CODES, "onPodConditions": [{"type": str, "status": str}]}
JOB_SPEC = {
    **dict.fromkeys(("backoffLimit", "completions", "parallelism", "activeDeadlineSeconds"), int),
    "completionMode": str,
    "podReplacementPolicy": str,
    "podFailurePolicy": {"rules": [RULE]},
    "template": {"metadata": {"labels": {}}, "spec": POD_SPEC},
}
MANIFEST = {"apiVersion": str, "kind": str, "metadata": {"name": str, "namespace": str}, "spec": JOB_SPEC}


def manifest() -> Any:
    with open(os.path.join(support.REPO, "README.md"), encoding="utf-8") as file:
        return yaml.safe_load(re.findall(r"^```yaml\n(apiVersion.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)[0])


def mistakes(given: Any, schema: Any, where: str = "") -> list[str]:
    if isinstance(schema, dict) and isinstance(given, dict):
        unknown = [f"{where}.{key}" for key in given if key not in schema]
        return unknown + [
            line for key in given if key in schema for line in mistakes(given[key], schema[key], f"{where}.{key}")
        ]
    if isinstance(schema, list) and isinstance(given, list):
        return [line for each in given for line in mistakes(each, schema[0], f"{where}[]")]
    return [] if isinstance(schema, type) and type(given) is schema else [f"{where}: {given!r}"]


def test_the_manifest_has_only_fields_that_there_are() -> None:
    assert mistakes(manifest(), MANIFEST) == []
    wrong = manifest()
    wrong["spec"]["podFailurePolicy"]["rules"][0]["onExitCode"] = wrong["spec"].pop("backoffLimit")
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = "120"
    assert len(mistakes(wrong, MANIFEST)) == 2


def action(job: Any, code: int, *, disrupted: bool = False) -> str:
    """What the Job does about a pod that ended so: the first rule that matches, as it is documented; else it counts."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        assert ("onExitCodes" in rule) != ("onPodConditions" in rule)
        if "onExitCodes" in rule:
            matches = rule["onExitCodes"]["operator"] == "In" and code in rule["onExitCodes"]["values"]
        else:
            matches = disrupted and {"type": "DisruptionTarget", "status": "True"} in rule["onPodConditions"]
        if matches:
            return str(rule["action"])
    return "Count"


@pytest.mark.parametrize(
    ("code", "disrupted", "does"),
    [
        (names.EXIT_AGAIN, False, "Ignore"),
        (names.EXIT_AGAIN, True, "Ignore"),
        (names.EXIT_DO_NOT_RESTART, False, "FailJob"),
        (names.EXIT_DO_NOT_RESTART, True, "FailJob"),  # stopped by a person while the node was drained
        (names.EXIT_INTERRUPTED, False, "FailJob"),
        (names.EXIT_USAGE, False, "FailJob"),
        (names.EXIT_CONFIG, False, "FailJob"),
        (137, True, "Ignore"),
        (137, False, "Count"),
        (names.EXIT_FAILURE, False, "Count"),
        (names.EXIT_IO, False, "Count"),
        (names.EXIT_LEASED, False, "Count"),
    ],
)
def test_a_job_makes_another_pod_when_it_should(code: int, disrupted: bool, does: str) -> None:
    assert action(manifest(), code, disrupted=disrupted) == does


def test_the_manifests_command_is_one_and_its_grace_fits(tmp_path: Path) -> None:
    pod = manifest()["spec"]["template"]["spec"]
    program, verb, *words = pod["containers"][0]["command"]
    assert (program, verb, pod["restartPolicy"]) == ("ckptrun", "train", "Never")  # a podFailurePolicy wants Never
    support.write_files(tmp_path, {"train.py": "import ckptrun; ckptrun.attach().done()"})
    words = [str(tmp_path) if word == "/runs" else word for word in words]
    plan = json.loads(support.run_ckptrun(verb, "--dry-run", "--json", *words, cwd=tmp_path).stdout)
    assert plan["grace"] == pod["terminationGracePeriodSeconds"] - names.BOOKKEEPING_SECONDS
    assert support.run_ckptrun(verb, *words, cwd=tmp_path).returncode == 0
    assert pod["containers"][0]["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]
