"""Reading pictures in a child process, so that a decoder that crashes or hangs costs one picture and not the job.

The child reads one request a line and answers with a line of JSON, followed by the bytes of the pixels. It ends when
its input does, so it never outlives the parent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import IO, Any, Self

import numpy as np

from saccade.data.image import MAX_PIXELS, Picture, read_image
from saccade.errors import DataError, Problem, SaccadeError, UsageError

_RAISED: dict[str, type[SaccadeError]] = {"DataError": DataError, "UsageError": UsageError}


def read_isolated(path: str | os.PathLike[str], **options: Any) -> Picture:
    """`read_image` in a child process of its own (about 0.2 s); for many pictures use an `IsolatedReader`."""
    with IsolatedReader() as reader:
        return reader.read(path, **options)


class IsolatedReader:
    """`read` is `read_image` in one child process, started anew after each crash. Not to be shared by threads.

    seconds: the time a picture may take. Raises DataError("IMG-CRASH") when the child dies by a signal or is stopped for
    taking longer, and otherwise what `read_image` raises.
    """

    def __init__(self, *, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self._end(self.process)

    def read(
        self,
        path: str | os.PathLike[str],
        *,
        channels: int | None = None,
        at_least: tuple[int, int] | None = None,
        max_pixels: int = MAX_PIXELS,
        value_range: tuple[float, float] | None = None,
    ) -> Picture:
        """The picture in a file, with the options of `read_image`."""
        options = {"channels": channels, "at_least": at_least, "max_pixels": max_pixels, "value_range": value_range}
        where = os.fspath(path)
        process = self.process = self.process or _start()
        assert process.stdin and process.stdout
        timer = Timer(self.seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps({"path": where, **options}).encode() + b"\n")
            process.stdin.flush()
            answer, pixels = _receive(process.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise self._crash(process, where, late=timer.finished.is_set()) from error
        finally:
            timer.cancel()
        if "code" in answer:
            raise _RAISED[answer["kind"]](answer["code"], answer["got"], where=where, fix=answer["fix"])
        return Picture(pixels, tuple(answer["size"]), tuple(Problem(code, where, got) for code, got in answer["problems"]))

    def _crash(self, process: subprocess.Popen[bytes], where: str, *, late: bool) -> SaccadeError:
        """What to raise for a child that has died; the next picture gets a new one."""
        self.process = None
        status = self._end(process)
        if late:
            return DataError("IMG-CRASH", f"no answer in {self.seconds:g} s", where=where)
        if status < 0:
            return DataError("IMG-CRASH", signal.strsignal(-status) or f"signal {-status}", where=where)
        return SaccadeError("INTERNAL", f"the reading process ended with {status}", where=where)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> int:
        assert process.stdin and process.stdout
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass  # it is dead, and what was not sent does not matter
        process.stdout.close()
        return process.wait()


def _start() -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", "from saccade.data.isolate import serve; serve()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def _receive(stream: IO[bytes]) -> tuple[dict[str, Any], np.ndarray]:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the answer is not complete")
    answer = json.loads(line)
    pixels = np.empty(answer.get("shape", 0), answer.get("dtype", "uint8"))
    if pixels.size and stream.readinto(pixels.reshape(-1).view(np.uint8).data) != pixels.nbytes:  # type: ignore[attr-defined]
        raise EOFError("the pixels are not complete")
    return answer, pixels


def serve() -> None:
    """The child's loop: requests from standard input, answers to standard output."""
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            picture = read_image(request.pop("path"), **request)
        except SaccadeError as error:
            refusal = {"kind": type(error).__name__, "code": error.code, "got": error.got, "fix": error.fix}
            out.write(json.dumps(refusal).encode() + b"\n")
        else:
            pixels = picture.pixels
            problems = [(p.code, p.got) for p in picture.problems]
            answer = {"shape": pixels.shape, "dtype": pixels.dtype.name, "size": picture.size, "problems": problems}
            out.write(json.dumps(answer).encode() + b"\n")
            out.write(pixels.reshape(-1).view(np.uint8).data)
        out.flush()
