"""What a scene is before it is drawn: solids in things, materials, lights, the air and the camera.

The world's coordinates are metres, x to the right, y away from the viewer, z up. All angles are radians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
TEXTURES = ("plain", "noise", "stripes", "checks", "leaves", "wood", "windows", "clouds")


class Material(NamedTuple):
    """How a surface looks. colour and second: linear RGB in [0, 1]; a texture mixes them.

    texture: a name of TEXTURES. scale: repeats of the texture in a metre. gloss: strength of the highlight. glow: light of its own.
    offset: where in the texture the solid lies.
    """

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    texture: str = "plain"
    scale: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0
    offset: Colour = (0.0, 0.0, 0.0)


class Solid(NamedTuple):
    """One convex solid. kind: of `solids`. centre: (3,). turn: (3, 3), own axes as columns. size: (3,) radii, half sides, or radius and half height."""

    kind: int
    centre: np.ndarray
    turn: np.ndarray
    size: np.ndarray
    material: int


@dataclass
class Thing:
    """An object, or a part of the background, made of solids.

    name: its class. stuff: background, which has a region in the segmentation map but no box. words: attributes. place: (3,) where it
    stands. yaw: its heading about the vertical, 0 along x. joints: (K, 3) key points, nan where it has none; slack: metres of flesh in
    front of each. on: number of the thing that carries it, -1 none. held_by: number of the thing that holds it, -1 none. casts: whether it casts shadows.
    level: 0..3, of two things along a ray that of the lower level is seen by the labels, and the nearer one of the same level (for looks through things).
    """

    name: str
    solids: list[Solid]
    place: np.ndarray
    yaw: float = 0.0
    stuff: bool = False
    words: tuple[str, ...] = ()
    joints: np.ndarray | None = None
    slack: float = 0.0
    on: int = -1
    held_by: int = -1
    casts: bool = True
    level: int = 0


class Light(NamedTuple):
    """A light. colour: linear RGB times strength. toward: (3,) unit vector to a light far away, or None. at: (3,) a lamp's place, or None;
    a lamp shines as colour / (1 + (distance / reach)^2)^2."""

    colour: Colour
    toward: tuple[float, float, float] | None = None
    at: tuple[float, float, float] | None = None
    reach: float = 1.0
    shadow: bool = True


class Camera(NamedTuple):
    """A pinhole or thin lens. place: (3,). heading: about the vertical, 0 looks along y, positive to the left. pitch: up. roll: clockwise.

    focal: in pixels of an image one pixel wide (so focal * width pixels). aperture: diameter in metres, 0 a pinhole. focus: metres.
    """

    place: tuple[float, float, float]
    heading: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    focal: float = 1.0
    aperture: float = 0.0
    focus: float = 1.0

    def axes(self) -> np.ndarray:
        """(3, 3) whose rows are right, down and forward in the world: world vectors -> camera vectors."""
        level = self.level()
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        tilt = np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
        c, s = np.cos(self.roll), np.sin(self.roll)
        spin = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        axes: np.ndarray = spin @ tilt @ level
        return axes

    def level(self) -> np.ndarray:
        """The same for a camera of this heading that neither looks up nor down: right, down along gravity, forward along the ground."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.array([[c, s, 0.0], [0.0, 0.0, -1.0], [-s, c, 0.0]])

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """(3, 3) intrinsics K: camera coordinates -> homogeneous pixels of an image of size (h, w)."""
        focal = self.focal * size[1]
        return np.array([[focal, 0.0, size[1] / 2], [0.0, focal, size[0] / 2], [0.0, 0.0, 1.0]])


class Air(NamedTuple):
    """Sky, ambient light, and what lies between the camera and things. fog: extinction per metre. clouds: in [0, 1]. lit: how bright lit windows are."""

    horizon: Colour = (0.75, 0.82, 0.9)
    zenith: Colour = (0.25, 0.45, 0.8)
    ambient: Colour = (0.35, 0.38, 0.42)
    ground: Colour = (0.2, 0.19, 0.17)
    fog: float = 0.0
    fog_colour: Colour = (0.7, 0.72, 0.75)
    clouds: float = 0.0
    lit: float = 0.0


class Lens(NamedTuple):
    """What happens after the light has come in. exposure: factor. noise: standard deviation at black, in 8-bit steps. jpeg: quality, 0 none.
    rain: streaks for each 1,000 pixels. veil: haze over looks that see through things.
    look: "light", or "xray", "fluorescence", "brightfield", where the thickness of solids is seen."""

    exposure: float = 1.0
    noise: float = 0.0
    jpeg: int = 0
    rain: float = 0.0
    veil: float = 0.0
    look: str = "light"


@dataclass
class Scene:
    """Everything that is drawn and told of one image. kind: the scene's class. facts: more for captions (place, weather, time of day)."""

    kind: str
    things: list[Thing]
    materials: list[Material]
    lights: Sequence[Light]
    camera: Camera
    air: Air = field(default_factory=Air)
    lens: Lens = field(default_factory=Lens)
    facts: Mapping[str, str] = field(default_factory=dict)


UPRIGHT_PLANE = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Turns a horizontal plane to face a viewer who looks along y: x to the right, z up."""


def turn_z(angle: float) -> np.ndarray:
    """(3, 3) rotation about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def turn_x(angle: float) -> np.ndarray:
    """(3, 3) rotation about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def turn_y(angle: float) -> np.ndarray:
    """(3, 3) rotation about y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
