"""Each planted fault is named with its code and path, nothing of the user's is touched, and the gate decides."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.core import Dataset
from saccade.data import check_files
from saccade.data.check import check
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from saccade.jobs.check import CheckOptions, run_check
from saccade.jobs.split import SplitOptions, run_split


def picture(path: Path, seed: int, size: tuple[int, int] = (24, 20), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of ten images without a fault."""
    for label in ("cat", "dog"):
        for i in range(10):
            picture(tmp_path / "data" / label / f"{i}.png", 100 * (label == "dog") + i)
    return tmp_path / "data"


def codes(report) -> set[tuple[str, str]]:
    return {(problem.code, problem.where) for problem in report.problems}


def tree(root: Path) -> dict[str, tuple[str, int]]:
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_clean_set_has_no_problem_and_is_untouched(data):
    before, opened = tree(data), open_dataset(data)
    report = run_check(data)
    assert not report.problems and report.bad_ratio == 0 and report.total == 20 and tree(data) == before
    assert isinstance(report.dataset, Dataset) and report.dataset.fingerprint == opened.fingerprint
    assert (report.class_counts() == {"all": {"cat": 10, "dog": 10}} and report.sizes == {(20, 24): 20}) or report.sizes == {(24, 20): 20}
    report.gate(0)
    assert "no problems" in report.text()


def test_planted_faults_are_named(data):
    (data / "cat" / "empty.png").touch()
    (data / "cat" / "page.jpg").write_text("<html>404</html>")
    whole = picture(data / "dog" / "cut.png", 7, (64, 64)).read_bytes()
    (data / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    picture(data / "dog" / "real.png", 508).rename(data / "dog" / "really.jpg")
    picture(data / "dog" / "tiny.png", 509, (2, 30))
    picture(data / "dog" / "grey.png", 510, mode="L")
    (data / "cat" / "new.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    (data / "unused").mkdir()
    picture(data / "single" / "1.png", 511)
    picture(data / "Single " / "1.png", 512)
    shutil.copy(data / "cat" / "1.png", data / "cat" / "copy.png")
    shutil.copy(data / "cat" / "2.png", data / "dog" / "doubt.png")
    os.mkfifo(data / "dog" / "pipe.png")
    report = run_check(data, CheckOptions(threads=1))
    expected = {
        ("IMG-EMPTY", "cat/empty.png"),
        ("IMG-UNREADABLE", "cat/page.jpg"),
        ("IMG-TRUNC", "dog/cut.png"),
        ("IMG-EXT", "dog/really.jpg"),
        ("IMG-SIZE", "dog/tiny.png"),
        ("IMG-DIFFER", "dog/grey.png"),
        ("IMG-FORMAT", "cat/new.avif"),
        ("CLS-EMPTY", "unused"),
        ("CLS-SINGLE", "class single"),
        ("CLS-SINGLE", "class Single "),
        ("DUP-EXACT", "cat/copy.png"),
        ("DUP-LABEL", "dog/doubt.png"),
        ("DUP-LABEL", "cat/2.png"),
        ("IMG-SPECIAL", "dog/pipe.png"),
        ("CLS-CASE", str(data)),
        ("CLS-BALANCE", str(data)),
    }
    assert codes(report) - {("IMG-NAME", "Single /1.png")} == expected
    assert report.bad == 8 and len(report.dataset) == report.total - 8
    assert report.dataset.channels == 3 and report.dataset.read(0).shape[2] == 3
    assert not {"cat/2.png", "dog/doubt.png", "dog/cut.png"} & {record.id for record in report.dataset.records}
    with pytest.raises(DataError, match=r"DATA-BAD(.|\n)*8 of (.|\n)*\(IMG-"):
        report.gate(0.05)
    report.gate(0.5)
    assert all(len(line) <= 100 for line in report.text().splitlines())
    assert report.counts()["IMG-TRUNC"].n == 1 and next(iter(report.counts())) == "DUP-LABEL"
    stored = report.to_dict()
    assert stored["problems"]["IMG-SIZE"]["where"] == "dog/tiny.png" and stored["bad"] == 8


def test_copies_are_held_together_by_groups(data):
    original = Image.open(data / "cat" / "3.png").resize((96, 80))
    original.save(data / "cat" / "large.png")
    original.save(data / "cat" / "lossy.jpg", quality=90)
    report = check(open_dataset(data))
    groups = {record.id: record.group for record in report.dataset.records if record.group}
    assert set(groups) >= {"cat/large.png", "cat/lossy.jpg"} and len(set(groups.values())) == 1
    assert not any(record.group for record in check(open_dataset(data), near=False).dataset.records)


@pytest.mark.parametrize(("kind", "code", "fatal"), [("exact", "LEAK-EXACT", True), ("near", "LEAK-NEAR", False), ("class", "CLS-SPLIT", True)])
def test_leaks_between_given_splits(tmp_path, kind, code, fatal):
    root = tmp_path / "data"
    for place, name in enumerate(f"{split}/{label}/{i}.png" for split in ("train", "val", "test") for label in "ab" for i in range(4)):
        picture(root / name, place, (64, 64))
    source = root / "train" / "a" / "0.png"
    if kind == "exact":
        shutil.copy(source, root / "test" / "a" / "leak.png")
    elif kind == "near":
        Image.open(source).save(root / "test" / "a" / "leak.jpg", quality=95)
    else:
        picture(root / "test" / "c" / "1.png", 99)
    report = check(open_dataset(root))
    found = [p for p in report.problems if p.code == code]
    assert len(found) == 1 and ("leak" in found[0].where or found[0].where == "test")
    assert {p.code for p in report.problems} <= {code, "CLS-SINGLE", "CLS-EMPTY", "CLS-BALANCE"}
    if not fatal:
        report.gate(0)
        return
    with pytest.raises(DataError, match=code):
        report.gate(0)
    if kind == "exact":
        report.gate(0, allow_leak=True)


def test_a_group_in_two_splits(data):
    rows = "".join(f"{label}/{i}.png,{label},{'train' if i < 7 else 'test'},p{i % 8}\n" for label in ("cat", "dog") for i in range(10))
    (data / "labels.csv").write_text("path,label,split,patient\n" + rows)
    report = check(open_dataset(data))
    assert {p.where for p in report.problems if p.code == "LEAK-GROUP"} == {"cat/8.png", "cat/9.png"}
    with pytest.raises(DataError, match="LEAK-GROUP"):
        report.gate()
    report.gate(allow_leak=True)


def test_too_few_classes_and_imbalance(tmp_path):
    for i in range(23):
        picture(tmp_path / "a" / f"{i}.png", i)
    with pytest.raises(DataError, match="CLS-ONE"):
        check(open_dataset(tmp_path)).gate()
    for i in range(2):
        picture(tmp_path / "b" / f"{i}.png", 50 + i)
    assert codes(check(open_dataset(tmp_path))) == {("CLS-BALANCE", str(tmp_path))}
    with pytest.raises(DataError, match="CLS-NONE"):
        check(open_dataset(tmp_path, format="images")).gate()


def test_images_that_vanish_or_change(data, monkeypatch):
    opened = open_dataset(data)
    (data / "cat" / "0.png").unlink()
    real = check_files.read_image

    def growing(path, **options):
        answer = real(path, **options)
        if path.name == "1.png" and path.parent.name == "cat":
            path.write_bytes(path.read_bytes() + b"more")
        return answer

    monkeypatch.setattr(check_files, "read_image", growing)
    report = check(opened)
    assert codes(report) == {("IMG-MISSING", "cat/0.png"), ("IMG-CHANGED", "cat/1.png")}
    place = next(i for i, r in enumerate(report.dataset.records) if r.id == "dog/5.png")
    picture(data / "dog" / "5.png", 999, (30, 30))
    with pytest.raises(DataError, match="IMG-CHANGED"):
        report.dataset.read(place)


def test_sixteen_bits_share_one_range(tmp_path):
    for label, top in (("cat", 4000), ("dog", 3000)):
        for i in range(3):
            (tmp_path / label).mkdir(exist_ok=True)
            values = np.random.default_rng(i + top).integers(1000, top, (16, 16)).astype(np.uint16)
            values[0, :2] = 1000, top
            Image.fromarray(values).save(tmp_path / label / f"{i}.png")
    report = check(open_dataset(tmp_path))
    low, high = report.dataset.value_range
    assert low == 1000 and 3900 < high <= 4000 and report.ranges["images"] == 6
    pixels = report.dataset.read(0)
    assert pixels.dtype == np.float32 and pixels.max() > 0.99 and pixels.min() == 0
    assert report.counts()["IMG-DEPTH"].n == 6


def test_options_do_what_they_say(data):
    whole = (data / "cat" / "0.png").read_bytes()
    (data / "cat" / "0.png").write_bytes(whole[:-200])
    opened = open_dataset(data)
    assert [p.where for p in check(opened).problems] == ["cat/0.png"]
    assert check(opened, max_pixels=100).bad == 20
    with pytest.raises(UsageError, match="threads"):
        check(opened, threads=0)
    with pytest.raises(UsageError, match="max_bad"):
        check(opened, deep=False).gate(5)
    seen = []
    check(opened, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20, 20)


def test_isolated_reading_gives_the_same(data):
    small = open_dataset(data).subset(range(0, 20, 5))
    assert check(small, isolate=True, threads=1).dataset.fingerprint == check(small).dataset.fingerprint


def test_problems_as_a_table_without_formulas(data, tmp_path):
    (data / "cat" / "=cmd.png").touch()
    (data / "cat" / "\udcff.png").touch()
    (data / "labels.csv").write_text("path,label\n=gone.png,a\ncat/1.png,b\n")
    out = tmp_path / "out"
    run_check(data, CheckOptions(format="folder"), out=out)
    rows = list(csv.reader((out / "data_problems.csv").read_text().splitlines()))
    assert rows[0] == ["code", "severity", "where", "got", "fix", "image"]
    assert ["cat/=cmd.png", "cat/\\xff.png"] == sorted(row[2] for row in rows[1:] if row[0] == "IMG-EMPTY")
    assert (out / "check.json").is_file()
    report = run_check(data / "labels.csv")
    report.write_csv(out / "again.csv")
    assert ["IMG-MISSING", "error", "'=gone.png"] in [row[:3] for row in csv.reader((out / "again.csv").read_text().splitlines())]


def test_split_job_writes_and_refuses(data, tmp_path):
    made = run_split(data, SplitOptions(test=0.2, seed=3), out=tmp_path / "split.csv")
    assert [len(part) for part in made.splits[0][:3]] == [14, 2, 4] and str(tmp_path / "split.csv") in made.text()
    assert all(len(line) <= 100 for line in made.text().splitlines()[:-1])
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        run_split(data, out=tmp_path / "split.csv")
    folds = run_split(data, SplitOptions(folds=4), out=tmp_path / "folds")
    assert [path.name for path in folds.paths] == [f"fold{i}.csv" for i in range(1, 5)] and all(path.is_file() for path in folds.paths)
    for options in (SplitOptions(folds=3, test=0.2), SplitOptions(folds=3, order="last")):
        with pytest.raises(UsageError, match="USE-VALUE"):
            run_split(data, options)
    shutil.rmtree(data / "dog")
    with pytest.raises(DataError, match="CLS-ONE"):
        run_split(data)


def test_hostile_files_are_all_named(shared_data):
    root = shared_data / "formats" / "pillow"
    report = check(open_dataset(root, format="images"))
    listed = {line.split("\t")[0] for line in (root / "_unreadable.tsv").read_text().splitlines()[1:]}
    left_out = {p.where for p in report.problems if p.severity == "error"}
    readable = {record.id for record in report.dataset.records}
    assert not left_out & readable and report.total == len(left_out) + len(readable)
    assert len(listed & left_out) >= 5 and len(readable) > 200


def test_shared_sets_pass(shared_data):
    for name in ("classification/sign_digits", "medical/cxr_nih"):
        report = check(open_dataset(shared_data / name))
        report.gate(0)
        assert report.bad == 0
    assert report.counts()["DUP-EXACT"].first.where == "No_findings/00002658_002.png"
