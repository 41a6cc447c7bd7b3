"""What a world is: a builder, and the names of what it holds."""

from __future__ import annotations

from typing import NamedTuple

from saccade.data.world.worlds.knobs import Make


class World(NamedTuple):
    """A named world. about: one line. make: the builder. kinds: what a scene may be made as. names: classes of things. stuff: parts of the background.

    labels: classes of scenes where they are others than the kinds. keypoints, bones, pairs: of things with joints.
    frames: pictures of one scene, more than 1 for clips; step_s: seconds between them.
    outdoors: whether it has weather and a sky. side: pixels of a picture's side, scenes: how
    many of them, where nobody says.
    """

    about: str
    make: Make
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    stuff: tuple[str, ...]
    keypoints: tuple[str, ...] = ()
    bones: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    frames: int = 1
    step_s: float = 0.1
    outdoors: bool = False
    labels: tuple[str, ...] = ()
    side: int = 128
    scenes: int = 1000

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of scenes."""
        return self.labels or self.kinds

    @property
    def regions(self) -> tuple[str, ...]:
        """Classes of the segmentation map: where nothing is (0), the background's parts, the things."""
        return ("background", *self.stuff, *self.names)
