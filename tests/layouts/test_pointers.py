"""Pointers of every format: read, and written anew in the manner of what was there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun.layouts import pointers

TF = """model_checkpoint_path: "ckpt-700"
all_model_checkpoint_paths: "ckpt-500"
all_model_checkpoint_paths: "ckpt-600"
all_model_checkpoint_paths: "ckpt-700"
all_model_checkpoint_timestamps: 5.1
all_model_checkpoint_timestamps: 6.1
all_model_checkpoint_timestamps: 7.1
last_preserved_timestamp: 4.5
"""


@pytest.mark.parametrize(
    ("form", "text", "name"),
    [
        ("link", "epoch=3.ckpt", "epoch=3.ckpt"),
        ("link", "/old/place/step_1000/", "step_1000"),
        ("link", "..", ""),
        ("tag", "global_step30\n", "global_step30"),
        ("tag", "", ""),
        ("iteration", "300", "iter_0000300"),
        ("iteration", "release\n", "release"),
        ("iteration", "-3", ""),
        ("iteration", "9" * 30, ""),
        ("iteration", "two", ""),
        ("path", "/home/ana/work_dirs/x/epoch_2.pth", "epoch_2.pth"),
        ("basename", "model_final.pth", "model_final.pth"),
        ("tf", TF, "ckpt-700"),
        ("tf", 'model_checkpoint_path: "/abs/a \\"b\\"/ckpt-1"', "ckpt-1"),
        ("tf", "all_model_checkpoint_paths: 'x'", ""),
        ("tf", "\0\1garbage", ""),
    ],
)
def test_read(form, text, name):
    assert pointers.read(form, text) == name


@pytest.mark.parametrize(
    ("form", "text", "name", "after"),
    [
        ("link", "epoch=3.ckpt", "epoch=2.ckpt", "epoch=2.ckpt"),
        ("link", "/old/place/a.ckpt", "b.ckpt", "/old/place/b.ckpt"),
        ("tag", "global_step30\n", "global_step20", "global_step20\n"),
        ("iteration", "300", "iter_0000200", "200"),
        ("iteration", "300\n", "release", "release\n"),
        ("path", "/home/ana/x/epoch_2.pth", "epoch_1.pth", "/home/ana/x/epoch_1.pth"),
        ("basename", "model_final.pth", "model_0000029.pth", "model_0000029.pth"),
    ],
)
def test_written_anew(form, text, name, after):
    assert pointers.rewritten(form, text, name) == after


def test_tensorflow_s_list_loses_what_is_gone_with_its_time():
    after = pointers.rewritten("tf", TF, "ckpt-600", gone={"ckpt-500", "ckpt-700"})
    assert after == (
        'model_checkpoint_path: "ckpt-600"\nall_model_checkpoint_paths: "ckpt-600"\n'
        "all_model_checkpoint_timestamps: 6.1\nlast_preserved_timestamp: 4.5\n"
    )


NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1
).filter(lambda name: name not in (".", "..") and name == name.strip())


@given(st.sampled_from(["link", "tag", "path", "basename", "tf"]), NAMES, NAMES)
def test_what_was_written_is_read(form, old, new):
    text = f'model_checkpoint_path: "{pointers.rewritten("tag", "", old)}"' if form == "tf" else old
    assert pointers.read(form, pointers.rewritten(form, text, new)) == new


@given(st.sampled_from(sorted(pointers.FORMATS)), st.text())
def test_no_text_is_too_strange(form, text):
    assert "/" not in pointers.read(form, text)
    assert "x" in pointers.rewritten(form, text, "x")
