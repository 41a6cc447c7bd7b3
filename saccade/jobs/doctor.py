"""What `doctor` finds out: versions, the processor, the disk, and whether a small network learns here."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from saccade.errors import CODES, Code, UsageError, nearest

PACKAGES = (
    "saccade",
    "torch",
    "numpy",
    "scikit-learn",
    "pillow",
    "opencv-python-headless",
    "simplejpeg",
    "safetensors",
    "pydantic",
    "cyclopts",
)
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
LOW_DISK_GB, LOW_MEMORY_GB, SLOW_SYNC_MS = 1.0, 1.0, 200.0


class Finding(NamedTuple):
    """One line of the table: what was looked at, what was found, and whether that is good enough."""

    name: str
    value: str
    state: Literal["ok", "warn", "error"] = "ok"


@dataclass(frozen=True)
class DoctorReport:
    """The findings, in the order of the table."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is in the state error."""
        return all(finding.state != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON values."""
        return {"healthy": self.healthy, "findings": [finding._asdict() for finding in asdict(self)["findings"]]}


def run_doctor(folder: Path | str = ".") -> DoctorReport:
    """Looks at this machine; `folder` is where the disk is tried, by a temporary file that is removed."""
    return DoctorReport((*_versions(), *_processor(), _memory(), *_disk(Path(folder)), _self_test()))


def explain(code: str) -> Code:
    """The registered text and fix of an error code. Raises UsageError USE-CODE for one that is not known."""
    if code.upper() not in CODES:
        raise UsageError("USE-CODE", f"{code}; {nearest(code.upper(), CODES)}")
    return CODES[code.upper()]


def _versions() -> list[Finding]:
    found = [Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for package in PACKAGES:
        try:
            found.append(Finding(package, version(package)))
        except PackageNotFoundError:
            found.append(Finding(package, "not installed", "error"))
    return found


def _processor() -> list[Finding]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = cpu_flags()
    precision = "bf16 and fp32" if {"avx512_bf16", "amx_bf16"} & set(flags) else "fp32 (no fast bf16 here)"
    return [
        Finding("device", device),
        Finding("threads", f"{torch.get_num_threads()} of torch, {usable} usable processors"),
        Finding("processor", " ".join(flags) or "no vector extension known to us"),
        Finding("precision", precision),
    ]


def cpu_flags() -> list[str]:
    """The vector extensions of the processor that matter to us; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return []
    words = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    return [flag for flag in FLAGS if flag in words]


def _memory() -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        text = Path("/proc/meminfo").read_text()
        free = next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable")), free)
    except (OSError, ValueError, AttributeError):
        return Finding("memory", "not known on this system")
    return Finding("memory", f"{free / 1e9:.1f} GB free", "ok" if free > LOW_MEMORY_GB * 1e9 else "warn")


def _disk(folder: Path) -> list[Finding]:
    """Free space, and how long 16 MB take to be on the disk for certain."""
    free = shutil.disk_usage(folder).free
    space = Finding("disk", f"{free / 1e9:.1f} GB free in {folder.resolve()}", "ok" if free > LOW_DISK_GB * 1e9 else "warn")
    block = os.urandom(1 << 20)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".saccade_doctor_") as stream:
            start = time.perf_counter()
            for _ in range(16):
                stream.write(block)
            stream.flush()
            written = time.perf_counter()
            os.fsync(stream.fileno())
            synced = time.perf_counter()
    except OSError as problem:
        return [space, Finding("write", f"{problem.strerror}: runs need --out elsewhere", "error")]
    sync_ms = 1e3 * (synced - written)
    speed = f"{16 * 1.048576 / (synced - start):.0f} MB/s, {sync_ms:.0f} ms to be on the disk"
    return [space, Finding("write", speed, "ok" if sync_ms < SLOW_SYNC_MS else "warn")]


def _self_test() -> Finding:
    """A small convolution must learn a brightness from eight images: forward, backward and a step give what they should."""
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.rand(8, 3, 16, 16)
        target = images.mean((1, 2, 3))
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))
        optimiser = torch.optim.SGD(network.parameters(), 0.1)
        start, losses = time.perf_counter(), []
        for _ in range(20):
            loss = (network(images)[:, 0] - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        seconds = time.perf_counter() - start
    learned = losses[-1] < 0.1 * losses[0]
    return Finding("self-test", f"loss {losses[0]:.4f} -> {losses[-1]:.6f} in {seconds * 1e3:.0f} ms", "ok" if learned else "error")
