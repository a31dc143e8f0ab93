"""`sweep:`: which task gets which values, in which order, and every mistake with its line."""

import json

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_files

from ckptrun import config, errors, names
from ckptrun.config import sweep as sweeps

GRID = "sweep:\n  lr: [0.1, 1e-2]\n  width: [64, '128', wide]\n"


def load(here, text="", **options):
    write_files(here, {"ckptrun.yaml": text})
    return config.load(options, {}, str(here))


def mistakes(here, text):
    with pytest.raises(errors.ConfigError) as caught:
        load(here, text)
    return caught.value.problems


def test_the_last_name_changes_fastest(tmp_path):
    loaded = load(tmp_path, GRID)
    assert [(point.texts["lr"], point.texts["width"]) for point in loaded.sweep.points] == [
        ("0.1", "64"),
        ("0.1", "128"),
        ("0.1", "wide"),
        ("1e-2", "64"),
        ("1e-2", "128"),
        ("1e-2", "wide"),
    ]
    assert loaded.sweep.points[4].values == {"lr": 0.01, "width": "128"}  # in quotes it is a text
    assert loaded.sources["sweep"] == "ckptrun.yaml:1"


def test_points_stand_in_their_own_order(tmp_path):
    loaded = load(tmp_path, "sweep:\n- {lr: 0.2, name: b c}\n- {name: x, lr: 0.1}\n")
    assert [point.texts for point in loaded.sweep.points] == [{"lr": "0.2", "name": "b c"}, {"name": "x", "lr": "0.1"}]


def test_one_value_needs_no_list(tmp_path):
    assert [point.values for point in load(tmp_path, "sweep: {lr: [1, 2], seed: 7}").sweep.points] == [
        {"lr": 1, "seed": 7},
        {"lr": 2, "seed": 7},
    ]


@pytest.mark.parametrize("text", ["sweep:\n", "sweep: {}\n", "sweep: []\n", "grace: 20s\n"])
def test_no_values_are_no_sweep(tmp_path, text):
    assert load(tmp_path, text).sweep is None


def test_an_option_wins_over_the_file(tmp_path):
    assert load(tmp_path, GRID, sweep="lr: [7]").sweep.text == "{lr: [7]}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("1.", 1.0),
        ("007", "007"),
        ("1e999", "1e999"),
        ("1_000", "1_000"),
        ("true", True),
        ("yes", "yes"),
        ("nan", "nan"),
        ("2026-11-26", "2026-11-26"),
        ("99999999999999999999", 1e20),
    ],
)
def test_what_a_text_is_in_json(text, value):
    found = sweeps.plain(text)
    assert (found, type(found)) == (value, type(value))
    json.loads(json.dumps(found, allow_nan=False))


def test_braces_may_be_left_out_on_the_line(tmp_path):
    grid = load(tmp_path, sweep="lr: [0.1, 0.2], width: 64").sweep
    assert grid == load(tmp_path, sweep="{lr: [0.1, 0.2], width: 64}").sweep
    assert len(grid.points) == 2
    assert len(load(tmp_path, sweep="[{lr: 0.1}, {lr: 0.2}]").sweep.points) == 2


@pytest.mark.parametrize("text", ["lr: [1", "7", "lr", "{}", "{lr: []}", "a: &x 1, b: *y"])
def test_what_is_no_sweep_on_the_line(tmp_path, text):
    with pytest.raises(errors.UsageError, match=r"--sweep: .*write "):
        load(tmp_path, sweep=text)


MISTAKES = [
    ("sweep: 7", "ckptrun.yaml:1:8: sweep: sweep takes a list of values for each name"),
    ("sweep: {lr: []}", "ckptrun.yaml:1:13: sweep.lr has no values"),
    ("sweep:\n  run: [1]", "ckptrun.yaml:2:3: sweep.run: {run} is filled in by ckptrun itself; choose another name"),
    ("sweep:\n  2x: [1]", "ckptrun.yaml:2:3: sweep: '2x' is no name"),
    ("sweep:\n  [1, 2]: [1]", "ckptrun.yaml:2:3: sweep: '' is no name"),
    ("sweep:\n  a: [1]\n  a: [2]", "ckptrun.yaml:3:3: sweep.a stands here again; it was set in line 2"),
    ("sweep:\n  a: [1, [2]]", "ckptrun.yaml:2:10: sweep.a: each value is one text or number, not a list"),
    ("sweep:\n  a: [1, {b: 2}]", "ckptrun.yaml:2:10: sweep.a: each value is one text or number, not a mapping"),
    ("sweep:\n  a: [1, null]", "ckptrun.yaml:2:10: sweep.a has no value"),
    ("sweep:\n  a: [!!binary aGk=]", "ckptrun.yaml:2:7: sweep.a has a value of kind"),
    ('sweep: {a: ["x\\0"]}', "ckptrun.yaml:1:13: sweep.a: no command can hold a NUL"),
    ("sweep:\n- 7", "ckptrun.yaml:2:3: sweep: a point is written like"),
    ("sweep:\n- {a: 1}\n- {b: 1}", "ckptrun.yaml:3:3: sweep: every point has the same names, the first one a, this one b"),
    (f"sweep: {{a: {list(range(101))}, b: {list(range(100))}}}", "ckptrun.yaml:1:8: sweep has 10,100 combinations"),
    ("sweep: {a: [1]}\nsweep: {a: [2]}", "ckptrun.yaml:2:1: sweep stands here again; it was set in line 1"),
]


@pytest.mark.parametrize(("text", "problem"), MISTAKES)
def test_a_mistake_has_its_line(tmp_path, text, problem):
    [found] = mistakes(tmp_path, text)
    assert found.startswith(problem)


def test_all_mistakes_of_the_file_come_at_once(tmp_path):
    text = "grace: soon\nsweep:\n  attempt: [1]\n  lr: []\nevery: often\n"
    assert [problem.split(" ")[0] for problem in mistakes(tmp_path, text)] == [
        "ckptrun.yaml:1:8:",
        "ckptrun.yaml:3:3:",
        "ckptrun.yaml:4:7:",
        "ckptrun.yaml:5:8:",
    ]


@pytest.mark.parametrize("name", names.TEMPLATES)
def test_ckptruns_own_templates_are_no_names(tmp_path, name):
    [problem] = mistakes(tmp_path, f"sweep: {{{name}: [1]}}")
    assert f"{{{name}}} is filled in by ckptrun itself" in problem


SCALARS = st.one_of(st.integers(-99, 10**6), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text())
GRIDS = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,5}", fullmatch=True), st.lists(SCALARS, min_size=1, max_size=3), max_size=3
)


@settings(deadline=None)
@given(GRIDS.filter(lambda grid: grid and not set(grid) & set(names.TEMPLATES)))
def test_a_sweep_written_again_is_the_same(grid):
    """What `submit` hands on to the job means the same there, whatever letters are in it."""
    try:
        text = yaml.safe_dump(grid, allow_unicode=True)
        found = sweeps.parse(text)
    except (ValueError, yaml.YAMLError, UnicodeEncodeError):  # letters that YAML has no place for
        return
    assert sweeps.parse(found.text) == found
    assert "\n" not in found.text
    for point in found.points:
        assert msgspec.json.decode(msgspec.json.encode(point.values)) == point.values
