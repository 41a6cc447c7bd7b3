"""The data room against the usual libraries, all parts one after another:  python benchmarks/data.py

boxes and masks augmented (albumentations), 1080p JPEGs decoded and resized (Pillow), 100,000 files opened, a COCO file of 300,000
boxes opened (pycocotools). Each ratio is measured in this run; see `data_augment.py` and `data_coco.py` for the parts alone.
"""

from __future__ import annotations

import os
import sys

import data_augment
import data_coco


def main() -> int:
    """Prints every part, and the load of the machine it was measured on."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start")
    data_augment.main()
    print()
    ratio = data_coco.opened()
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0 if ratio >= data_coco.BAR else 1


if __name__ == "__main__":
    sys.exit(main())
