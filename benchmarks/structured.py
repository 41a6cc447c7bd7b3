"""Structured prediction in one run: chains over pytorch-crf, the dense CRF over pydensecrf2 where that is installed, belief propagation on a grid.

    python benchmarks/structured.py            # three minutes of one core
    python benchmarks/structured.py --quick    # fewer pairs of chains: shows that it runs

The parts are `structured_chain.py` and `structured_graphs.py`, which say what is measured; results are compared before they are timed. Bars: likelihood of
chains forward and backward at least 3 times, best paths at least 5 times as fast as pytorch-crf; dense CRF at most 3 s. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import sys

import structured_chain
import structured_graphs
import torch


def main() -> int:
    torch.set_num_threads(1)
    missed = structured_chain.main(), structured_graphs.main()
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
