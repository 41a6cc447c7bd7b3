"""What is named on the command line becomes an ordered list of inputs with names of their own."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.errors import DataError
from saccade.inference.sources import _unique, expand


@pytest.fixture
def tree(tmp_path):
    for name in ("img10.png", "img2.png", "sub/img1.JPG", "notes.txt", ".hidden.png", "sub/deep/x.bmp"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "tree"


def ids(*sources, **options):
    return [item.id for item in expand(sources if len(sources) != 1 else sources[0], **options).items]


def test_a_folder_gives_its_images_in_natural_order(tree):
    assert ids(tree) == ["img2.png", "img10.png", "sub/deep/x.bmp", "sub/img1.JPG"]
    assert [item.path for item in expand(tree).items][2] == tree / "sub/deep/x.bmp"


def test_a_named_file_is_an_input_whatever_it_is(tree):
    assert ids(str(tree / "notes.txt")) == [str(tree / "notes.txt")]
    assert len(expand([tree / "img2.png", tree / "missing.png"])) == 2


def test_patterns_select_in_natural_order(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert ids("*.png") == ["img2.png", "img10.png"]
    assert ids("**/*.[jJ]*") == ["sub/img1.JPG"]
    (tree / "a[1].png").write_bytes(b"x")
    assert ids("a[1].png") == ["a[1].png"], "a file of that very name comes before the pattern"


def test_lists_are_relative_to_themselves(tree, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_bytes("\ufefftree/img2.png\r\n\n tree/with space.png\ntree/bad_".encode() + b"\xff.png\n")
    found = expand(f"@{tmp_path}/list.txt")
    assert [item.id for item in found.items] == ["tree/img2.png", " tree/with space.png", "tree/bad_\udcff.png"]
    assert found.items[0].path == tmp_path / "tree/img2.png"
    monkeypatch.chdir(tmp_path)
    assert ids("-", stdin=io.BytesIO(b"tree/img2.png\ntree/img10.png")) == ["tree/img2.png", "tree/img10.png"]


def test_several_sources_keep_their_order_and_their_names_apart(tree):
    assert ids(tree / "sub", tree / "img2.png") == [f"{tree}/sub/deep/x.bmp", f"{tree}/sub/img1.JPG", f"{tree}/img2.png"]
    assert ids(str(tree / "img2.png"), str(tree / "img2.png")) == [f"{tree}/img2.png", f"{tree}/img2.png#2"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "b", "b#2"]), max_size=12))
def test_names_are_unique_and_kept_where_they_can_be(names):
    made = [item.id for item in _unique([(name, name) for name in names])]
    assert len(set(made)) == len(names)
    assert all(got == name or got.startswith(f"{name}#") for got, name in zip(made, names, strict=True))
    assert {name for name in names} <= set(made)


@pytest.mark.parametrize("special", ["link out", "pipe"])
def test_what_a_folder_leaves_out_is_told(special, tree, tmp_path):
    if special == "pipe":
        os.mkfifo(tree / "pipe.png")
    else:
        (tmp_path / "outside.png").write_bytes(b"x")
        (tree / "link.png").symlink_to(tmp_path / "outside.png")
    found = expand(tree)
    assert len(found) == 4 and [problem.code for problem in found.problems] == ["IMG-SPECIAL" if special == "pipe" else "IMG-LINK"]


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        ([], "PRED-NONE"),
        (["{tree}/*.gif"], "PRED-NONE"),
        (["{tree}/none.png"], "DATA-MISSING"),
        (["@{tree}/none.txt"], "ANN-UNREADABLE"),
        (["{tree}/empty"], "PRED-NONE"),
    ],
)
def test_nothing_to_predict_is_an_error(sources, code, tree):
    (tree / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        expand([source.format(tree=tree) for source in sources])
    assert caught.value.code == code and caught.value.exit == 3
