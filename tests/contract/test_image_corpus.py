"""Every kind of odd file gives the code that is promised for it, in bounded time and memory, and is left as it was."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saccade.data.image import Picture, header, read_image
from saccade.data.image_file import FORMATS
from saccade.errors import DataError, displayable
from tests.support.corpus import Case, write_corpus


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return write_corpus(tmp_path_factory.mktemp("hostile") / "corpus", seed=0)


def tree_hash(root: Path) -> str:
    digest = hashlib.blake2b()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        digest.update(f"{os.fsencode(path)!r} {status.st_mode} {status.st_size} {status.st_mtime_ns}".encode())
        if path.is_file() and status.st_size < 1 << 30:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def outcome(path: str) -> tuple[str, set[str]]:
    """The code that reading raised, or none and the codes of the problems; whatever was read is checked."""
    try:
        picture = read_image(path)
    except DataError as error:
        assert error.where == displayable(path)
        return error.code, set()
    check_picture(picture)
    return "", {problem.code for problem in picture.problems}


def check_picture(picture: Picture) -> None:
    pixels = picture.pixels
    assert pixels.ndim == 3 and pixels.shape[:2] == picture.size and pixels.shape[2] in (1, 3)
    assert pixels.flags["C_CONTIGUOUS"] and pixels.dtype in (np.uint8, np.float32)
    if pixels.dtype == np.float32:
        assert 0 <= pixels.min() <= pixels.max() <= 1


def test_the_corpus_is_as_large_as_promised_and_the_same_for_the_same_seed(cases: list[Case], tmp_path: Path) -> None:
    assert len(cases) >= 64 and len({case.path for case in cases}) == len(cases)
    again = write_corpus(tmp_path / "again", seed=0)
    assert [(os.path.basename(c.path), c.skip, c.notes) for c in again] == [(os.path.basename(c.path), c.skip, c.notes) for c in cases]
    for name in ("palette_alpha.png", "noise_body.jpg", "13000_real.png"):
        assert (tmp_path / "again" / name).read_bytes() == (Path(cases[0].path).parent / name).read_bytes()


def test_every_case_gives_its_code_and_no_file_is_touched(cases: list[Case]) -> None:
    root = Path(cases[0].path).parent
    before, wrong = tree_hash(root), []
    for case in cases:
        start = time.process_time()
        code, notes = outcome(case.path)
        right = code in case.skip if case.skip else not code and notes == set(case.notes)
        if not right or time.process_time() - start > 3:
            wrong.append((displayable(case.path), code, notes, case.skip, case.notes))
    assert not wrong
    assert tree_hash(root) == before


def test_the_header_of_a_readable_file_says_what_reading_gives(cases: list[Case]) -> None:
    for case in cases:
        if case.skip or "9000" in case.path:
            continue
        found, picture = header(case.path), read_image(case.path)
        assert (found.size, found.channels) == (picture.size, picture.pixels.shape[2]), case
        assert (found.bits > 8) == (picture.pixels.dtype == np.float32), case
        assert (found.frames > 1) == ("IMG-FRAMES" in case.notes) and found.format in FORMATS
        assert {p.code for p in found.problems} <= {p.code for p in picture.problems}


def test_what_is_no_regular_file_is_refused_by_the_header_too(cases: list[Case]) -> None:
    for case in cases:
        if case.skip in (("IMG-SPECIAL",), ("IMG-MISSING",), ("IMG-EMPTY",), ("IMG-FORMAT",), ("IMG-UNREADABLE",)):
            with pytest.raises(DataError) as caught:
                header(case.path)
            assert caught.value.code in case.skip


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(DataError) as caught:
            header(path)
    finally:
        os.seteuid(user)
    assert caught.value.code == "IMG-DENIED"


CHILD = """
import json, resource, sys, time
import cv2
from saccade.data.image import header, read_image
from saccade.errors import DataError
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2_000_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
slowest = 0.0
for path in json.load(sys.stdin):
    for function in (header, read_image):
        start = time.process_time()
        try:
            function(path)
        except DataError:
            slowest = max(slowest, time.process_time() - start)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([slowest, int(peak.split()[1]) / 1024]))
"""


def in_a_child(paths: list[str]) -> tuple[float, float]:
    """Seconds of the slowest refusal, and the peak memory in MB, of a process that reads these."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD], input=json.dumps(paths), capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    slowest, peak = json.loads(done.stdout)
    return slowest, peak


def test_refusing_bombs_takes_neither_time_nor_memory(cases: list[Case]) -> None:
    slowest, peak = in_a_child([case.path for case in cases if case.skip == ("IMG-BOMB",)])
    assert slowest <= 0.5 and peak <= 300


def test_the_largest_pictures_that_are_read_stay_below_a_gigabyte(cases: list[Case], tmp_path: Path) -> None:
    from tests.support.corpus import png, zeros

    (tmp_path / "alpha.png").write_bytes(png(9000, 9000, colour=6, pixels=zeros(9000, 36001)))
    _, peak = in_a_child([os.fspath(tmp_path / "alpha.png"), *(case.path for case in cases if "9000" in case.path)])
    assert peak < 1000


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no file here that cannot be read for another reason than its content")
@pytest.mark.parametrize("function", [header, read_image])
def test_a_disk_that_fails(function: Callable[[str], object]) -> None:
    with pytest.raises(DataError) as caught:
        function("/proc/self/mem")  # a regular file whose first byte cannot be read
    assert caught.value.code == "IMG-UNREADABLE" and "error" in caught.value.got


def test_a_raised_limit_is_followed(cases: list[Case]) -> None:
    path = next(case.path for case in cases if case.path.endswith("13000_real.png"))
    assert header(path, max_pixels=200_000_000).size == (13000, 13000)
    with pytest.raises(DataError) as caught:
        read_image(cases[-1].path, max_pixels=100)
    assert caught.value.code == "IMG-BOMB"


def test_the_shared_odd_files_are_read_or_refused_with_a_code(shared_data: Path) -> None:
    root = shared_data / "formats" / "pillow"
    refused = {line.split("\t")[0] for line in (root / "_unreadable.tsv").read_text().splitlines()[1:]}
    before, read = tree_hash(root), 0
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        code, _ = outcome(os.fspath(path))
        assert code.startswith("IMG-") or not code
        assert code or os.fspath(path.relative_to(root)) not in refused, path
        read += not code
    assert read > 250
    assert tree_hash(root) == before


def test_the_shared_pictures_of_every_orientation_look_the_same(shared_data: Path) -> None:
    pictures = [read_image(path) for path in sorted((shared_data / "formats" / "exif_orientation").glob("Landscape_*.jpg"))]
    assert len(pictures) == 9 and {picture.size for picture in pictures} == {(300, 450)}
    for picture in pictures:
        assert np.abs(picture.pixels.astype(float) - pictures[1].pixels).mean() < 5
        assert np.abs(picture.pixels[::-1].astype(float) - pictures[1].pixels).mean() > 20
