"""README's console blocks are executed, and what they print is what the README says they print.

A block is one bash session in a copy of the checkout; `$ ` begins a command. In the expected output `…` stands for anything within a
line, and a line with nothing but `…` for any number of lines; how much space stands between words does not matter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
import support

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "\x1e"  # "record separator": ends each command's output


def blocks():
    with open(os.path.join(support.REPO, "README.md"), encoding="utf-8") as file:
        return BLOCK.findall(file.read())


def commands(block):
    """[(command, expected lines)]"""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> "):
            found[-1] = (found[-1][0] + "\n" + line[2:], [])
        else:
            found[-1][1].append(line)
    return found


def pattern(lines):
    return "".join(
        "(?:[^\n]*\n)*" if line == "…" else re.escape(line).replace("…", "[^\n]*") + "\n" for line in map(tidy, lines)
    )


def tidy(line):
    """Columns may be drawn wider or narrower."""
    return " ".join(line.split())


@pytest.mark.timeout(300)
def test_the_tour_goes_as_the_readme_says(tmp_path):
    """All blocks, in order, in one directory: they are one story."""
    assert blocks(), "README has no console blocks"
    shutil.copytree(support.EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    story = [step for block in blocks() for step in commands(block)]
    script = "".join(f"{command}\nlast=$?; printf '{MARK}\\n'; (exit $last)\n" for command, _ in story)
    (tmp_path / "tour.sh").write_text(script, encoding="utf-8")
    told = subprocess.run(
        ["bash", "-u", "tour.sh"],
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        env=support.clean_env({"PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    outputs = told.stdout.split(MARK + "\n")
    for (command, expected), output in zip(story, outputs, strict=False):
        plain = "".join(tidy(line) + "\n" for line in output.splitlines())
        assert re.fullmatch(pattern(expected), plain), (
            f"$ {command}\nREADME says:\n{chr(10).join(expected)}\n\nit was:\n{output}"
        )
    assert len(outputs) == len(story) + 1, told.stdout


def test_the_comparison_notices_a_wrong_line():
    assert re.fullmatch(pattern(["step … of 9", "…", "saved"]), "step 3 of 9\nx\ny\nsaved\n")
    assert re.fullmatch(pattern(["a", "…"]), "a\n")
    assert not re.fullmatch(pattern(["step … of 9"]), "step 3 of 8\n")
    assert not re.fullmatch(pattern(["step … of 9"]), "step 3\n of 9\n")
    assert not re.fullmatch(pattern([]), "anything\n")
