"""Every malformed label file of the table is named by its code and severity, loses no more than its own image, and raises nothing else."""

from collections import Counter

import pytest

from saccade.data.check import check
from saccade.data.open import open_dataset
from saccade.errors import CODES, DataError
from tests.support.malformed import FAULTS, write

ASIDE = ("CLS", "BOX", "OBJ")  # what three small images tell anyway: a class with one image, tiny boxes


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.kind}-{fault.name.replace(' ', '_')}" for fault in FAULTS])
def test_a_malformed_file_is_named(fault, tmp_path):
    root = write(fault, tmp_path / "data")
    try:
        dataset = open_dataset(root)
        problems, used = [*dataset.problems, *check(dataset, deep=False, near=False).problems], len(dataset)
        met = {(p.code, p.severity) for p in problems}
        assert all(p.where or p.image for p in problems)
    except DataError as error:
        met, used = {(error.code, "fatal")}, 0
        assert error.where and error.fix
    assert used == fault.used
    if fault.code:
        assert (fault.code, fault.severity) in met
    else:
        assert not [code for code, severity in met if severity in ("fatal", "error", "warn") and not code.startswith(ASIDE)]


def test_the_table_is_large_and_names_real_codes():
    assert len(FAULTS) >= 150 and {fault.code for fault in FAULTS} - {""} <= set(CODES)
    assert min(Counter(fault.kind for fault in FAULTS).values()) >= 5
