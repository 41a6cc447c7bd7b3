"""Archives: unpacked once, safely, and never outside of the cache."""

import os
import stat
import struct
import zipfile

import pytest

from saccade.data.formats import archive
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.data_files import folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache"


def packed(path, names, content=b"x"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, content)
    return path


def test_an_archive_of_classes_opens_and_is_unpacked_once(tmp_path, cache):
    root = folder(tmp_path / "in", "cat/1.png", "dog/2.png")
    path = tmp_path / "my pets.ZIP"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("__MACOSX/cat/._1.png", b"x")
        file.writestr("set/.DS_Store", b"x")
        for name in ("cat/1.png", "dog/2.png"):
            file.write(root / name, f"set/{name}")
    data = open_dataset(path)
    assert data.name == "my_pets" and data.spaces["label"].names == ("cat", "dog") and len(data) == 2
    assert data.read(0).shape == (12, 12, 1)
    (made,) = (cache / "saccade/archives").iterdir()
    stamps = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    assert sorted(p.name for p in stamps if p.is_file()) == ["1.png", "2.png"]
    again = open_dataset(path)
    assert again.fingerprint == data.fingerprint and {p: p.stat().st_mtime_ns for p in made.rglob("*")} == stamps


@pytest.mark.parametrize("name", ["../out.png", "/abs.png", "a/../../out.png", "C:/x.png", "a\\..\\..\\out.png", "\\\\host\\x.png"])
def test_members_that_lie_outside(tmp_path, cache, name):
    with pytest.raises(DataError, match="outside") as caught:
        open_dataset(packed(tmp_path / "a.zip", ["cat/1.png", name]))
    assert caught.value.code == "ANN-ARCHIVE" and not cache.exists()


def test_links_and_special_members(tmp_path, cache):
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        member = zipfile.ZipInfo("cat/link.png")
        member.external_attr = (kind | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr(member, "/etc/passwd")
        with pytest.raises(DataError, match="a link or no regular file"):
            open_dataset(tmp_path / "a.zip")
    assert not cache.exists()


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, cache):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file, file.open("zeros.png", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(DataError, match="unpacks to 314,572,800 bytes"):
        open_dataset(tmp_path / "a.zip")
    assert not cache.exists()


def test_too_many_members_the_same_twice_and_a_file_that_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MEMBERS", 3)
    with pytest.raises(DataError, match="4 members, at most 3"):
        open_dataset(packed(tmp_path / "a.zip", ["1.png", "2.png", "3.png", "4.png"]))
    with pytest.raises(DataError, match="twice"):
        open_dataset(packed(tmp_path / "b.zip", ["cat/1.png", "cat/1.PNG"]))
    with pytest.raises(DataError) as caught:
        open_dataset(packed(tmp_path / "c.zip", ["cat", "cat/1.png"]))
    assert caught.value.code == "ANN-ARCHIVE"


def damaged(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(bytes(data))
    return path


def test_damaged_and_encrypted_archives(tmp_path, cache):
    flags = damaged(packed(tmp_path / "a.zip", ["cat/1.png"]), lambda d: struct.pack_into("<H", d, d.index(b"PK\1\2") + 8, 1))
    content = damaged(packed(tmp_path / "b.zip", ["cat/1.png"], os.urandom(4000)), lambda d: struct.pack_into("<4s", d, 2000, b"????"))
    cut = damaged(packed(tmp_path / "c.zip", ["cat/1.png"]), lambda d: d.__delitem__(slice(-10, None)))
    (tmp_path / "d.zip").write_bytes(b"PK\3\4 not a zip")
    (tmp_path / "e.zip").write_bytes(b"")
    for path in (flags, content, cut, tmp_path / "d.zip", tmp_path / "e.zip"):
        with pytest.raises(DataError) as caught:
            open_dataset(path)
        assert caught.value.code == "ANN-ARCHIVE", path
    assert not [p for p in cache.rglob("*") if p.is_file() or p.name.startswith(".partial")]


def test_omniglot(shared_data):
    data = open_dataset(shared_data / "fewshot/omniglot/images_background_small1.zip")
    assert len(data) == 2720 and data.spaces["label"].names[0] == "Balinese" and len(data.spaces["label"]) == 5
    with pytest.raises(DataError, match="pen strokes") as caught:
        open_dataset(shared_data / "fewshot/omniglot/strokes_background_small1.zip")
    assert caught.value.code == "DATA-FORMAT"
