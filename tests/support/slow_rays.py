"""A ray caster as slow as can be: float64, one ray and one solid at a time, by definitions that share nothing with the fast one.

A solid is known by a function that says how far outside of it a point is (0 on the surface, negative inside); a surface is found by dividing
the stretch of the ray inside of the solid's bounding ball and by bisection, its normal by differences.
"""

import numpy as np

from saccade.data.world.scene import Scene, Solid
from saccade.data.world.solids import BOX, CAPSULE, CONE, CYLINDER, ELLIPSOID, PLANE

STEPS = 96


def outside(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Points (n, 3) of the world -> how far outside, in units that need not be metres but change sign at the surface."""
    p = (points - solid.centre) @ solid.turn
    size = np.asarray(solid.size, dtype=np.float64)
    if solid.kind == ELLIPSOID:
        return np.sqrt(((p / size) ** 2).sum(1)) - 1
    if solid.kind == BOX:
        return (np.abs(p) - size).max(1)
    flat = np.hypot(p[:, 0], p[:, 1])
    if solid.kind == CYLINDER:
        return np.maximum(flat - size[0], np.abs(p[:, 2]) - size[2])
    if solid.kind == CONE:
        return np.maximum(flat - size[0] * (size[2] - p[:, 2]) / (2 * size[2]), -size[2] - p[:, 2])
    if solid.kind == CAPSULE:
        away = p[:, 2] - np.clip(p[:, 2], -size[2], size[2])
        return np.hypot(flat, away) - size[0]
    assert solid.kind == PLANE
    return p[:, 2]


def ball_radius(solid: Solid) -> float:
    """Of a ball around the solid's middle that holds it."""
    size = np.asarray(solid.size, dtype=np.float64)
    if solid.kind == ELLIPSOID:
        return float(size.max())
    if solid.kind == BOX:
        return float(np.sqrt((size**2).sum()))
    return float(size[0] + size[2]) if solid.kind == CAPSULE else float(np.hypot(size[0], size[2]))


def enters(solid: Solid, start: np.ndarray, way: np.ndarray) -> float:
    """The first t > 0 where start + t way comes into the solid, inf where it never does."""
    if solid.kind == PLANE:
        normal = solid.turn[:, 2]
        falls = way @ normal
        t = (solid.centre - start) @ normal / falls if falls < 0 else np.inf
        return float(t) if t > 0 else np.inf
    offset, long = start - solid.centre, way @ way
    middle, radius = -(offset @ way) / long, ball_radius(solid)
    apart = offset @ offset - middle**2 * long
    if apart >= radius**2:
        return np.inf
    half = np.sqrt((radius**2 - apart) / long)
    times = np.linspace(middle - half, middle + half, STEPS + 1)
    times = times[times > 1e-3] if times[0] <= 1e-3 else times
    if not len(times):
        return np.inf
    values = outside(solid, start + times[:, None] * way)
    low = np.argmin(values)  # the solids are convex: values fall and rise once, so the lowest sample brackets what is thinner than a step
    if values[low] > 0:
        a, b = times[max(low - 1, 0)], times[min(low + 1, len(times) - 1)]
        for _ in range(60):  # golden section
            x, y = a + 0.382 * (b - a), a + 0.618 * (b - a)
            fx, fy = outside(solid, start + np.array([[x], [y]]) * way)
            a, b = (a, y) if fx < fy else (x, b)
        inside, before = (a + b) / 2, times[max(low - 1, 0)]
        if outside(solid, (start + inside * way)[None])[0] > 0:
            return np.inf
    else:
        first = int(np.argmax(values <= 0))
        if first == 0:
            return np.inf if times[0] > middle - half else float(times[0])
        before, inside = times[first - 1], times[first]
    for _ in range(60):
        between = (before + inside) / 2
        if outside(solid, (start + between * way)[None])[0] > 0:
            before = between
        else:
            inside = between
    return float(inside)


def normal_at(solid: Solid, point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """(3,) the outward unit normal by differences."""
    ahead, back = outside(solid, point + step * np.eye(3)), outside(solid, point - step * np.eye(3))
    slope = ahead - back
    return slope / np.sqrt(slope @ slope)


def ray(scene: Scene, x: float, y: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The camera's place and the direction through pixel (x, y), with a step of one metre along the optical axis."""
    camera = scene.camera
    focal = camera.focal * size[1]
    local = np.array([(x - size[1] / 2) / focal, (y - size[0] / 2) / focal, 1.0])
    return np.asarray(camera.place, dtype=np.float64), local @ camera.axes()


def first(scene: Scene, start: np.ndarray, way: np.ndarray, only: int | None = None) -> tuple[int, int, float, float]:
    """(thing, solid of it, t, the next t of another thing) of what is met first; (-1, -1, inf, inf) where nothing is. Levels count as in the labels."""
    best: tuple[tuple[int, float], int, int] = ((99, np.inf), -1, -1)
    second = (99, np.inf)
    for number, thing in enumerate(scene.things):
        if only is not None and number != only:
            continue
        for place, solid in enumerate(thing.solids):
            t = enters(solid, start, way)
            if not np.isfinite(t):
                continue
            key = (thing.level, t)
            if key < best[0]:
                if best[1] != number:
                    second = best[0]
                best = (key, number, place)
            elif number != best[1] and key < second:
                second = key
    return best[1], best[2], best[0][1], second[1] if second[0] == best[0][0] else np.inf
