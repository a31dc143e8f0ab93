"""What each kind of value accepts, and the sentence with which it refuses the rest."""

from __future__ import annotations

import signal

import pytest

from ckptrun import errors, units
from ckptrun.config import DoneWhen, kinds
from ckptrun.runs import paths

GOOD = [
    (kinds.text, "anything", "anything"),
    (kinds.flag, "yes", True),
    (kinds.flag, " On ", True),
    (kinds.flag, "1", True),
    (kinds.flag, "no", False),
    (kinds.flag, "FALSE", False),
    (kinds.run_name, "digits-3f9a1c", "digits-3f9a1c"),
    (kinds.run_name, "0", "0"),
    (kinds.duration, "90s", 90.0),
    (kinds.duration, "1:30:00", 5400.0),
    (kinds.duration, "2-00:00:00", 172800.0),
    (kinds.duration_or_off, "off", None),
    (kinds.duration_or_off, "None", None),
    (kinds.duration_or_off, "1h30m", 5400.0),
    (kinds.every, " 2epochs ", "2epochs"),
    (kinds.every, "20", "20"),
    (kinds.whole(0), "0", 0),
    (kinds.whole(1, 255), "255", 255),
    (kinds.exit_code, "75", 75),
    (kinds.exit_code, "85", 85),
    (kinds.signal_number, "USR1", signal.SIGUSR1),
    (kinds.signal_number, "sigusr2", signal.SIGUSR2),
    (kinds.signal_number, "15", signal.SIGTERM),
    (kinds.signal_number, "RTMIN", signal.SIGRTMIN),
    (kinds.choice("save", "stop"), "Save", "save"),
    (kinds.arguments, "--resume '{resume_from}' --x='a b'", ["--resume", "{resume_from}", "--x=a b"]),
    (kinds.arguments, "", []),
    (kinds.done_when, "step>=2000", DoneWhen(kind="step", number=2000)),
    (kinds.done_when, " step >= 0 ", DoneWhen(kind="step", number=0)),
    (kinds.done_when, "epoch>=1.5", DoneWhen(kind="epoch", number=1.5)),
    (kinds.done_when, "file:out/final model.pt", DoneWhen(kind="file", path="out/final model.pt")),
    (kinds.directory, "sub/../runs", "/base/runs"),
    (kinds.directory, "/elsewhere", "/elsewhere"),
]


@pytest.mark.parametrize(("kind", "given", "value"), GOOD)
def test_accepts(kind, given, value):
    assert kind(given, "/base") == value


BAD = [
    (kinds.text, "", "it is empty"),
    (kinds.flag, "maybe", "'maybe' is neither yes nor no"),
    (kinds.flag, "", "'' is neither yes nor no"),
    (kinds.run_name, "a/b", "'a/b' is no name for a run"),
    (kinds.run_name, "", "'' is no name for a run"),
    (kinds.run_name, "..", "'..' is no name for a run"),
    (kinds.run_name, "x" * 65, "is no name for a run: 1 to 64"),
    (kinds.run_name, "dé", "is no name for a run"),
    (kinds.run_name, "two\nlines", r"'two\\nlines' is no name"),
    (kinds.duration, "soon", "'soon' is not a duration; write for instance 90s"),
    (kinds.duration, "0", "'0' must be longer than nothing"),
    (kinds.duration, "-5", "'-5' is not a duration"),
    (kinds.duration_or_off, "0s", "longer than nothing"),
    (kinds.every, "never", "'never' is not a cadence; write 20"),
    (kinds.every, "0", "the cadence must be at least 1"),
    (kinds.whole(0), "3.5", "'3.5' is not a whole number"),
    (kinds.whole(0), "-1", "-1 is not at least 0"),
    (kinds.whole(1, 255), "256", "256 is not between 1 and 255"),
    (kinds.exit_code, "93", "93 means something else"),
    (kinds.exit_code, "0", "0 is not between 1 and 255"),
    (kinds.signal_number, "KILL", "'KILL' cannot be caught"),
    (kinds.signal_number, "19", "'19' cannot be caught"),
    (kinds.signal_number, "USR3", "'USR3' is no signal here; did you mean 'USR[12]'"),
    (kinds.signal_number, "999", "'999' is no signal here"),
    (kinds.signal_number, "SIG_DFL", "is no signal here"),
    (kinds.signal_number, "", "is no signal here"),
    (kinds.choice("scheduler", "self", "exit"), "schedular", "is not scheduler, self or exit; did you mean 'scheduler'"),
    (kinds.arguments, "'open", "no closing quotation"),
    (kinds.done_when, "step>2000", "'step>2000' is not step>=N, epoch>=N or file:PATH"),
    (kinds.done_when, "step>=1.5", "is not step>=N"),
    (kinds.done_when, "step>=nan", "is not step>=N"),
    (kinds.done_when, "epoch>=inf", "is not step>=N"),
    (kinds.done_when, "step>=-1", "is not step>=N"),
    (kinds.done_when, "loss>=3", "is not step>=N"),
    (kinds.done_when, "file:", "is not step>=N"),
    (kinds.directory, "", "it is empty"),
]


@pytest.mark.parametrize(("kind", "given", "sentence"), BAD)
def test_refuses_with_a_sentence(kind, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(given, "/base")


def test_an_existing_directory_says_what_is_there_instead(tmp_path):
    (tmp_path / "file").write_text("")
    assert kinds.existing_directory(".", str(tmp_path)) == str(tmp_path)
    with pytest.raises(ValueError, match="is not there"):
        kinds.existing_directory("nope", str(tmp_path))
    with pytest.raises(ValueError, match="is not a directory"):
        kinds.existing_directory("file", str(tmp_path))


def test_a_home_directory_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ana")
    assert kinds.directory("~/runs", "/base") == "/home/ana/runs"


@pytest.mark.parametrize("text", ["step>=2000", "epoch>=1.5", "file:a b"])
def test_a_proof_is_written_as_it_was_given(text):
    assert str(kinds.done_when(text, "")) == text


@pytest.mark.parametrize(
    "name", ["a", "A.b_c-9", "x" * 64, "x" * 65, "", ".", "..", "...", "a/b", "a b", "é", "-x", ".x", "a\n"]
)
def test_a_run_is_named_here_as_its_directory_allows(name):
    def allowed(check, error):
        try:
            check()
        except error:
            return False
        return True

    assert allowed(lambda: kinds.run_name(name, ""), ValueError) == allowed(
        lambda: paths.valid_name(name), errors.UsageError
    )


def test_the_cadence_is_read_again_by_the_script():
    assert units.parse_every(kinds.every("2 epochs", "")) == ("epochs", 2.0)
