"""How fast scenes are drawn and labelled, and how that grows:  python benchmarks/world.py [--quick]

    rate      scenes a second of the world tabletop at 128x128 with all labels of a still image, one ray a pixel and 2x2, by one process and by two
    edges     the share of pixels that 2x2 rays go through, and how far the picture is from one with 2x2 rays through all of them, in 8-bit steps
    pixels    milliseconds of a scene at 64, 128, 256 and 512 pixels a side
    objects   milliseconds of a scene with 2 to 32 things
    loop      casting the rays of a scene, against a plain loop that tests every solid at every pixel (the same intersections, NumPy in float32,
              no bounds), in turn and in the same process

One thread a process. Milliseconds are CPU time, medians over scenes; rates are by the clock, beside whatever else the machine does
(its load is printed), and by the CPU time of the processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from saccade.data.world import cast, edges, render
from saccade.data.world.dataset import WorldDataset, world
from saccade.data.world.pack import Packed, pack
from saccade.data.world.shade import light_of, lighting

SIDE = 128


def one(data: WorldDataset, i: int) -> None:
    """Draws a scene and makes all of its labels."""
    data.read(i)
    data.truth(i)


def rate(job: tuple[int, int, int]) -> float:
    """Draws n scenes from a first one on; the seconds of CPU that it took. job: supersample, first, n."""
    torch.set_num_threads(1)
    supersample, first, n = job
    data = world("tabletop", n=first + n, size=SIDE, supersample=supersample)
    began = time.process_time()
    for i in range(first, first + n):
        one(data, i)
    return time.process_time() - began


def warm(_: int) -> None:
    rate((1, 0, 2))


def by_processes(supersample: int, processes: int, n: int) -> tuple[float, float]:
    """(scenes a second by the clock, scenes a second of CPU), after the processes have started and drawn their first."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(warm, range(processes), chunksize=1)
        began = time.perf_counter()
        cpu = sum(pool.imap_unordered(rate, [(supersample, 10 * k, 10) for k in range(n // 10)]))
        return n / (time.perf_counter() - began), n / cpu


def cpu_ms(call: Callable[[int], object], scenes: int) -> float:
    """Median CPU milliseconds of call(i) over scenes, the least of three each."""
    found = []
    for i in range(scenes):
        least = 1e9
        for _ in range(3):
            began = time.process_time()
            call(i)
            least = min(least, time.process_time() - began)
        found.append(least)
    return statistics.median(found) * 1e3


def seen(packed: Packed) -> cast.Hits:
    """What each pixel shows, as the world finds it."""
    through = cast.rays(packed)
    return cast.nearest(packed, cast.meet(packed, through), through)


def at_edges(name: str, scenes: int) -> tuple[float, float, float]:
    """(share of pixels looked at again, mean distance to the picture with all of them looked at, the same of one ray a pixel), without noise and JPEG."""
    studio, found = world(name, n=scenes, size=SIDE, supersample=2).studio, []
    for i in range(scenes):
        told = studio.told(i)
        scene = replace(told.scene, lens=told.scene.lens._replace(noise=0.0, jpeg=0))
        one, chosen = (render.pictures(told.sight, [scene], [(0, i)], rays)[0].astype(int) for rays in (1, 2))
        usual, edges.STEP = edges.STEP, -1.0  # every pixel differs by more than that from its neighbours
        try:
            every = render.pictures(told.sight, [scene], [(0, i)], 2)[0].astype(int)
        finally:
            edges.STEP = usual
        with torch.inference_mode():
            light = light_of(told.sight.packed, lighting([scene]), told.sight.hits, told.sight.points, told.sight.rays)
            share = len(edges.uneven(told.sight.packed, told.sight.hits, light, torch.tensor([scene.lens.exposure]))) / SIDE**2
        found.append((share, float(np.abs(chosen - every).mean()), float(np.abs(one - every).mean())))
    share, away, single = np.mean(found, 0).tolist()
    return share, away, single


def plain_loop(packed: Packed) -> np.ndarray:
    """(h, w) depth: every solid at every pixel, nothing bounded."""
    h, w = packed.size
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    x, y = x.ravel(), y.ravel()
    nearest = torch.full((h * w,), 1e9)
    for kind, (first, last) in enumerate(packed.spans):
        for row in range(first, last):
            m = packed.pixel[:, row]
            along = tuple(m[3 * k] * x + m[3 * k + 1] * y + m[3 * k + 2] for k in range(3))
            start, size = (m[9].expand_as(x), m[10].expand_as(x), m[11].expand_as(x)), (m[12].expand_as(x), m[13].expand_as(x), m[14].expand_as(x))
            near, far = cast.interval(kind, start, (along[0], along[1], along[2]), size)
            nearest = torch.minimum(nearest, torch.where((near < far) & (near > 1e-3), near, torch.full_like(near, 1e9)))
    return nearest.reshape(h, w).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the scenes")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    print(f"load of the machine before: {load:.1f} on {os.cpu_count()} cores; torch {torch.__version__}")
    few = 3 if quick else 12
    for supersample, wanted in ((1, 60), (2, 30)):
        rates = {processes: by_processes(supersample, processes, 20 if quick else 240) for processes in (1, 2)}
        clock = f"{rates[1][0]:6.1f} scenes/s by one process, {rates[2][0]:6.1f} by two (bar: {wanted})"
        print(f"rate     {supersample}x{supersample} rays a pixel: {clock}; in a second of CPU {rates[1][1]:5.1f} and {rates[2][1]:5.1f}", flush=True)
    for name in ("tabletop", "street", "shapes", "clips"):
        share, away, single = at_edges(name, few)
        print(f"edges    {name:9} {share:5.1%} of the pixels; {away:.3f} steps away from 2x2 everywhere, one ray a pixel {single:.3f}")
    for side in (64, 128, 256, 512):
        data = world("tabletop", n=100, size=side)
        print(f"pixels   {side:4} x {side:<4} {cpu_ms(lambda i, d=data: fresh(d, i), few):8.1f} ms")
    for objects in (2, 4, 8, 16, 32):
        data = world("tabletop", n=100, size=SIDE, objects=(objects, objects))
        things = statistics.mean(len(data.studio.scene(i).things) - 2 for i in range(few))
        print(f"objects  {objects:3} wished, {things:4.1f} placed {cpu_ms(lambda i, d=data: fresh(d, i), few):8.1f} ms")
    for objects in (4, 8, 16):
        studio = world("tabletop", n=100, size=SIDE, objects=(objects, objects)).studio
        scenes = [studio.scene(i) for i in range(few)]
        packs = [pack([scene], (SIDE, SIDE)) for scene in scenes]
        with torch.inference_mode():
            for packed in packs[:2]:
                ours = seen(packed).depth.reshape(SIDE, SIDE).numpy()
                assert np.isclose(ours, plain_loop(packed), rtol=1e-4).mean() > 0.999
            fast = cpu_ms(lambda i, p=packs: seen(p[i]), few)
            slow = cpu_ms(lambda i, p=packs: plain_loop(p[i]), few)
        solids = statistics.mean(packed.pixel.shape[1] for packed in packs)
        print(f"loop     {objects:3} things, {solids:5.1f} solids: bounded {fast:6.1f} ms, plain {slow:7.1f} ms, {slow / fast:5.1f} times")
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


def fresh(data: WorldDataset, i: int) -> None:
    """One scene with its labels, nothing kept from before."""
    data.studio._kept.clear()
    one(data, i)


if __name__ == "__main__":
    main()
