"""Child processes that draw simulated scenes for the threads of a loader.

A scene is thousands of small calls, each of which takes and gives back Python's lock, so that threads wait for one another. The children
read the number of an image a line and answer with the bytes of its pixels; they end when their input does, so they never outlive the parent.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np

from saccade.errors import SaccadeError


class Painters:
    """`most` children that draw the images of a recipe, all begun when the first image is asked for. Safe from several threads.

    text: a recipe as a path (`Recipe.text`). shape: (h, w) of its pictures. The bytes are those of `Studio.picture`.
    """

    def __init__(self, text: str, shape: tuple[int, int], most: int | None = None) -> None:
        self.text, self.shape, self.most = text, shape, most or min(4, os.cpu_count() or 1)
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _end, self._all)

    def picture(self, index: int) -> np.ndarray:
        """(h, w, 3) uint8. Raises SaccadeError INTERNAL when a child dies."""
        child = self._child()
        assert child.stdin and child.stdout
        pixels = np.empty((*self.shape, 3), np.uint8)
        try:
            child.stdin.write(b"%d\n" % index)
            child.stdin.flush()
            got = child.stdout.readinto(pixels.reshape(-1).data)  # type: ignore[attr-defined]
        except BrokenPipeError:
            got = 0
        if got != pixels.nbytes:
            raise SaccadeError("INTERNAL", f"the process that draws ended with {child.wait()}", where=f"{self.text}, image {index}")
        self._idle.put(child)
        return pixels

    def _child(self) -> subprocess.Popen[bytes]:
        with self._lock:
            while len(self._all) < self.most:
                self._all.append(_start(self.text))
                self._idle.put(self._all[-1])
        return self._idle.get()


def _start(text: str) -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from saccade.data.world.painters import serve; serve()", text]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        assert child.stdin and child.stdout
        try:
            child.stdin.close()
        except BrokenPipeError:
            pass  # it is dead, and what was not sent does not matter
        child.stdout.close()
    for child in children:
        child.wait()


def serve() -> None:
    """The child's loop: numbers of images from standard input, pixels to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us when it has saved
    import torch

    from saccade.data.world.dataset import Studio
    from saccade.data.world.recipe import parse

    torch.set_num_threads(1)
    studio, out = Studio(parse(sys.argv[1])), sys.stdout.buffer
    for line in sys.stdin.buffer:
        out.write(studio.picture(int(line)).tobytes())
        out.flush()
