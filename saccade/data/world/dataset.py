"""A data set of simulated scenes: drawn when they are read, with truths made when they are asked for, so that training streams from it without files."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch

from saccade.core import IGNORE, LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.data.world import render
from saccade.data.world.chance import WEATHER, Chance, hashed
from saccade.data.world.labels import HEADS, Told, space
from saccade.data.world.painters import Painters
from saccade.data.world.recipe import Recipe, counts, sides
from saccade.data.world.scene import Scene
from saccade.data.world.weather import apply
from saccade.targets import Label, TagSequence

KEPT = 6
"""Scenes whose rays are kept, so that an image and its truths are looked at once."""
MANY = 500
"""Images of a set that threads leave to child processes to draw: fewer are drawn before a child has begun."""
SMALL = 64_000_000
"""Bytes of all the pictures of a set that is kept once drawn, with its truths: it is looked at while it is checked, and again while it is learnt from."""
_CLASS = 6  # the purpose of the number that chooses the class of a scene


class Studio:
    """Makes scenes of a recipe, looks at them, draws them; the last few are kept, and all pictures and truths of a small set. Safe from several threads.

    device: where rays are cast.
    """

    def __init__(self, recipe: Recipe, device: torch.device | str = "cpu") -> None:
        self.recipe, self.world, self.device = recipe, recipe.world, device
        self._kept: OrderedDict[int, Told] = OrderedDict()
        self._lock = threading.Lock()
        self._painters: Painters | None = None
        self._small = recipe.n * recipe.size[0] * recipe.size[1] * 3 <= SMALL
        self._pictures: dict[int, np.ndarray] = {}
        self._truths: dict[tuple[int, str], Any] = {}

    def kinds(self, indices: np.ndarray) -> np.ndarray:
        """(n,) the place in the world's kinds of each of these images, without making them."""
        chosen = hashed(self.recipe.seed, np.asarray(indices) // self.world.frames, _CLASS) % np.uint64(len(self.world.kinds))
        return chosen.astype(np.int64)

    def scene(self, index: int, frame_shift: int = 0) -> Scene:
        """The scene of an image; `frame_shift` frames later for clips."""
        clip, frame = divmod(index, self.world.frames)
        kind = self.world.kinds[int(self.kinds(np.array([index]))[0])]
        time = (frame + frame_shift) * self.world.step_s
        made = self.world.make(Chance(self.recipe.seed, clip), kind, self.recipe.knobs, time)
        return apply(made, self.recipe.weather, Chance(self.recipe.seed, clip, WEATHER), self.world.outdoors)

    def told(self, index: int) -> Told:
        """An image's scene and what its rays meet."""
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        scene = self.scene(index)
        after = self.scene(index, 1) if "flow" in self.recipe.heads else None
        made = Told(self.world, scene, render.look([scene], self.recipe.size, self.device), (self.recipe.seed, index), after)
        with self._lock:
            self._kept[index] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def picture(self, index: int) -> np.ndarray:
        """(h, w, 3) uint8, the caller's own."""
        if index in self._pictures:
            return self._pictures[index].copy()
        drawn = self._drawn(index)
        if self._small:
            self._pictures[index] = drawn
            return drawn.copy()
        return drawn

    def _drawn(self, index: int) -> np.ndarray:
        """Threads beside the main one leave it to children where there are many, and no other truth of the scenes than their class."""
        large = self.recipe.n >= MANY and self.recipe.heads == ("label",) and str(self.device) == "cpu"
        if large and threading.current_thread() is not threading.main_thread():
            with self._lock:
                self._painters = self._painters or Painters(self.recipe.text, self.recipe.size)
            return self._painters.picture(index)
        told = self.told(index)
        return render.pictures(told.sight, [told.scene], [(self.recipe.seed, index)], self.recipe.supersample)[0]

    def truth(self, index: int, head: str) -> Any:
        """The target of a head."""
        if head == "label" and not self.world.labels:
            return Label(int(self.kinds(np.array([index]))[0]))
        if head == "label":
            return Label(self.world.classes.index(self.scene(index).kind))
        if (index, head) not in self._truths:
            made = HEADS[head](self.told(index))
            if not self._small:
                return made
            self._truths[index, head] = made
        return self._truths[index, head]


@dataclass(frozen=True)
class Simulated:
    """A truth that is made from its scene when it is asked for (a `core.Stored`)."""

    studio: Studio = field(repr=False, compare=False)
    text: str
    index: int
    head: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return ()

    def load(self) -> Any:
        return self.studio.truth(self.index, self.head)


class Records(Sequence[Record]):
    """The records of scenes, each made when it is looked at: a million of them need no more memory than ten."""

    def __init__(self, studio: Studio, indices: range | np.ndarray) -> None:
        self.studio, self.indices = studio, indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> Records: ...
    def __getitem__(self, i: int | slice) -> Record | Records:
        if isinstance(i, slice):
            return Records(self.studio, self.indices[i])
        index, recipe, frames = int(self.indices[i]), self.studio.recipe, self.studio.world.frames
        heads = recipe.heads
        targets = {head: self.studio.truth(index, "label") if head == "label" else Simulated(self.studio, recipe.text, index, head) for head in heads}
        clip, frame = divmod(index, frames)
        name = f"{recipe.name}_{index:06d}.png" if frames == 1 else f"{recipe.name}_{clip:06d}_{frame:02d}.png"
        return Record(name, Path(recipe.name), index, targets, None, f"clip {clip}" if frames > 1 else None, f"{recipe.digest}{index:x}", recipe.size)

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))


class Drawn(Mapping[str, Any]):
    """What `ImageDataset.arrays` is for files: the name of the world -> its pictures by index."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def __getitem__(self, name: str) -> Any:
        if name != self.studio.recipe.name:
            raise KeyError(name)
        return _Pictures(self.studio)

    def __iter__(self) -> Iterator[str]:
        return iter((self.studio.recipe.name,))

    def __len__(self) -> int:
        return 1


class _Pictures:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def __getitem__(self, index: int) -> np.ndarray:
        return self.studio.picture(index)


@dataclass(frozen=True)
class WorldDataset(ImageDataset):
    """Simulated scenes as a data set. Image i is the same whatever was read before it, in whatever thread or process, on whatever machine.

    recipe: what everything follows from. read: (h, w, 3) uint8; truth: the heads of the recipe.
    """

    recipe: Recipe = field(default_factory=lambda: Recipe("shapes"))

    @property
    def studio(self) -> Studio:
        arrays = self.arrays
        assert isinstance(arrays, Drawn)
        return arrays.studio

    @property
    def indices(self) -> np.ndarray:
        """(n,) int64 the numbers of the images in the world's own order."""
        records = self.records
        return np.asarray(records.indices if isinstance(records, Records) else [record.index for record in records], dtype=np.int64)

    def size(self, i: int) -> tuple[int, int]:
        """(h, w), the same for all."""
        if not 0 <= i < len(self.records):
            raise IndexError(i)
        return self.recipe.size

    def subset(self, indices: Sequence[int]) -> Self:
        """The images at these places, in this order."""
        if not isinstance(self.records, Records):  # somebody has written other labels into them
            return replace(self, records=tuple(self.records[i] for i in indices))
        return replace(self, records=Records(self.studio, self.indices[np.asarray(indices, dtype=np.int64)]))

    def with_heads(self, heads: Collection[str]) -> Self:
        """The same images with the truths of these heads alone."""
        kept = tuple(head for head in self.recipe.heads if head in heads)
        if not kept or kept == self.recipe.heads:
            return self
        if not isinstance(self.records, Records):
            return super().with_heads(heads)
        return _opened(type(self), replace(self.recipe, labels=kept), self.studio.device, self.indices)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class ids (n,) int64 of the scenes; without making them where the class is drawn first."""
        if isinstance(self.records, Records) and not self.recipe.world.labels:
            return self.studio.kinds(self.indices)
        return np.array([IGNORE if t is None else t.index for t in self.targets()], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the recipe, of which of its images these are, and of labels that were changed: 32 hexadecimal digits; nothing is drawn for it."""
        digest = hashlib.blake2b(self.recipe.digest.encode(), digest_size=16)
        digest.update(self.indices.astype("<i8").tobytes())
        if not isinstance(self.records, Records):
            digest.update(repr([(r.id, r.split, r.group, sorted((h, repr(t)) for h, t in r.targets.items())) for r in self.records]).encode())
        return digest.hexdigest()

    def content(self, record: Record) -> str:
        """A name of what the image holds, from the recipe and its number."""
        return record.bytes_hash

    def sequence(self, clip: int) -> tuple[np.ndarray, TagSequence]:
        """One sequence of the world `gestures`: the joints (T, 14, 2) float32 in pixels of its frames, and the label of each frame.

        Raises ValueError for a world whose scenes have no sequence of labels.
        """
        world = self.recipe.world
        if not world.labels:
            raise ValueError(f"{self.recipe.name} has one label for all frames of a clip; gestures has one for each")
        from saccade.data.world.facts import projected

        joints, tags = [], []
        for frame in range(world.frames):
            scene = self.studio.scene(clip * world.frames + frame)
            person = next(thing for thing in scene.things if thing.joints is not None)
            joints.append(projected(scene.camera, np.asarray(person.joints), self.recipe.size)[0])
            tags.append(world.classes.index(scene.kind))
        return np.stack(joints).astype(np.float32), TagSequence(torch.tensor(tags, dtype=torch.int64))


def _opened(kind: type[Any], recipe: Recipe, device: torch.device | str, indices: range | np.ndarray) -> Any:
    studio = Studio(recipe, device)
    spaces: dict[str, LabelSpace] = {head: space(recipe.world, head) for head in recipe.heads}
    frames = f", {recipe.world.frames} frames a clip" if recipe.world.frames > 1 else ""
    return kind(
        name=f"world_{recipe.name}",
        root=Path(recipe.text),
        format="world",
        reason=f"simulated: {recipe.world.about}{frames}",
        records=Records(studio, indices),
        spaces=spaces,
        channels=3,
        arrays=Drawn(studio),
        recipe=recipe,
    )


def world(
    name: str,
    *,
    n: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    labels: Sequence[str] = (),
    weather: str = "clear",
    difficulty: str = "medium",
    supersample: int = 1,
    device: torch.device | str = "cpu",
    **knobs: Any,
) -> WorldDataset:
    """A data set of n images of a world (`table.WORLDS`), none of which is drawn before it is read. Images of a clip follow each other.

    n, size (pixels, or h and w): None for the world's own. labels: heads, none = all the world has. weather: clear, fog, rain, dusk, night, noise, or
    mixed (another for every scene). difficulty: easy, medium or hard. supersample: rays along each side of a pixel. device: where rays are cast.
    knobs: objects ("3-8" or (3, 8)), clutter and occlusion (0 to 1) instead of the difficulty's. Raises UsageError USE-VALUE.

    >>> data = world("tabletop", n=3, size=64, labels=["boxes"])
    >>> data.read(0).shape, sorted(data.truth(0))
    ((64, 64, 3), ['boxes'])
    """
    shape = (0, 0) if size is None else sides(size) if isinstance(size, int | str) else (int(size[0]), int(size[1]))
    if isinstance(knobs.get("objects"), str | int):
        knobs["objects"] = counts(knobs["objects"])
    recipe = Recipe(name, -1 if n == 0 else n or 0, shape, seed, tuple(labels), weather, difficulty, supersample, **knobs)
    return open_world(recipe, device)


def open_world(recipe: Recipe, device: torch.device | str = "cpu") -> WorldDataset:
    """The data set of a recipe."""
    made: WorldDataset = _opened(WorldDataset, recipe, device, range(recipe.n))
    return made
