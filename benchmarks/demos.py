"""What every demonstration reaches within its budget:  python benchmarks/demos.py [TASK ...] [--budget 30s]

Runs `saccade demo TASK` for each task, one after another, in a folder that is removed afterwards, and prints a row of Markdown for each: the
data, the number of test images, the number that the task is judged by with its 95 % interval, and the seconds that the whole command took by
the clock. The load of the machine is printed with it, because a budget buys less beside other programs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import saccade
from saccade.jobs.demo import demos
from saccade.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="all where none is named")
    parser.add_argument("--budget", help="instead of each demonstration's own")
    given = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| task | data | test images | score | seconds |\n|---|---|---|---|---|")
    for task in given.tasks or demos():
        with tempfile.TemporaryDirectory(prefix="saccade-demo-") as folder:
            began = time.monotonic()
            result = saccade.demo(task, out=Path(folder), budget=given.budget)
            seconds = time.monotonic() - began
        key = TASKS[task].monitor
        value = result.metrics[key]
        score = f"{key} {value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
        print(f"| `{task}` | {demos()[task].text} | {value['n']} | {score} | {seconds:.0f} |", flush=True)
    print(f"\nload of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
