"""Label files of every format with tokens changed at random: a data set or a coded error, and never for longer than two seconds."""

import random
import shutil
import time

import pytest

from saccade.data.check import check
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.source import LABELS
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError
from tests.contract.test_formats_roundtrip import CASES, made
from tests.support.json_files import pictures, write
from tests.support.mutations import mutated

LONGEST = 2.0  # seconds a file may take; a crowded machine gets three times that
READ = {  # formats that are only read: path -> content
    "labelme_xml": {
        "a.xml": "<annotation><filename>a.png</filename><folder></folder><source><sourceAnnotation>LabelMe</sourceAnnotation></source><object><name>x</name>"
        "<deleted>0</deleted><polygon><pt><x>1</x><y>1</y></pt><pt><x>9</x><y>1</y></pt><pt><x>9</x><y>9</y></pt></polygon></object></annotation>"
    },
    "detection_text": {"ground-truth/a.txt": "big cat 2 3 10 12\ndog 0 0 4 4 difficult\n", "ground-truth/b.txt": "dog 1 2 3 4\n"},
}


def sound(name, root):
    """A folder in a format, and its label files."""
    if name in READ:
        pictures(root, "a.png", "b.png")
        for path, content in READ[name].items():
            write(root / path, content)
    else:
        for i, case in enumerate(CASES[name]):
            dataset = made(1, case, root.with_name(f"{root.name}_{i}"))
            (root / str(i)).mkdir(parents=True)
            FORMATS[name].save(dataset, root / str(i), Pictures(dataset, root / str(i)))
    return [path for path in sorted(root.rglob("*")) if path.suffix in LABELS or path.suffix == ".gz"]


def fuzz(name, root, seconds, seed):
    chance, until, tried = random.Random(seed), time.monotonic() + seconds, 0
    files = sound(name, root)
    contents = {path: path.read_bytes() for path in files}
    while time.monotonic() < until:
        path = chance.choice(files)
        data = mutated(contents[path], chance)
        path.write_bytes(data)
        opened = path.parents[len(path.relative_to(root).parts) - 2] if name not in READ else root
        began = time.process_time()
        try:
            dataset = open_dataset(opened, format=name if chance.random() < 0.5 else None)
            if chance.random() < 0.2:
                check(dataset, deep=False, near=False)
        except SaccadeError as error:
            assert error.code and error.fix
        except Exception as error:
            kept = shutil.copy(path, root.parent / f"crash{path.suffix}")
            raise AssertionError(f"{name}: {type(error).__name__} from {path.relative_to(root)}, kept as {kept}") from error
        took = time.process_time() - began
        assert took < LONGEST, f"{took:.1f} s for {len(data)} bytes of {path.relative_to(root)}"
        path.write_bytes(contents[path])
        tried += 1
    assert tried >= 5


NAMES = [name for name, layout in FORMATS.items() if layout.save or name in READ]
WITH_FILES = [name for name in NAMES if name not in ("folder", "pairs", "depth")]  # those have no label files


@pytest.mark.parametrize("name", WITH_FILES)
def test_changed_label_files(name, tmp_path):
    fuzz(name, tmp_path / "data", 1.0, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_FILES)
def test_changed_label_files_for_half_a_minute(name, tmp_path):
    fuzz(name, tmp_path / "data", 30.0, seed=int(time.time()))
