"""`saccade world`: simulated scenes written as files of a layout, or the list of the worlds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from saccade.data.formats import FORMATS
from saccade.data.world.recipe import SCHEME, Recipe, counts, sides
from saccade.errors import UsageError
from saccade.jobs.convert import Converted, ConvertOptions, run_convert

PREFERRED = ("folder", "coco", "masks", "kitti", "table")
"""The layouts that are tried in this order when none is named: the first that holds all labels asked for."""


class WorldOptions(BaseModel):
    """What a user may say of simulated scenes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: Annotated[str | tuple[str, ...], Field(description="kinds of labels: boxes,masks,keypoints ...; default all that the layout can hold")] = ""
    n: Annotated[int | None, Field(ge=1, description="images; default the world's own number")] = None
    size: Annotated[str | int | tuple[int, int] | None, Field(description="pixels, as 128 or 96x128 (height x width); default the world's own")] = None
    seed: Annotated[int, Field(ge=0, description="of the random choices")] = 0
    weather: Annotated[str, Field(description="clear, fog, rain, dusk, night, noise, or mixed")] = "clear"
    difficulty: Annotated[str, Field(description="easy, medium or hard: clutter, occlusion and variety")] = "medium"
    supersample: Annotated[int, Field(ge=1, le=8, description="rays along each side of a pixel")] = 1
    objects: Annotated[str | tuple[int, int] | None, Field(description="things in a scene, as 4 or 3-8; default the world's own")] = None
    clutter: Annotated[float | None, Field(ge=0, le=1, description="what is no object, instead of the difficulty's")] = None
    occlusion: Annotated[float | None, Field(ge=0, le=1, description="how much things hide one another, instead of the difficulty's")] = None
    to: Annotated[str | None, Field(description="the layout to write; default the first that holds the labels")] = None

    def recipe(self, name: str) -> Recipe:
        """What the scenes are made from. Raises UsageError USE-VALUE."""
        try:
            size = (0, 0) if self.size is None else self.size if isinstance(self.size, tuple) else sides(self.size)
            objects = counts(self.objects) if isinstance(self.objects, str) else self.objects
        except ValueError as error:
            raise UsageError("USE-VALUE", str(error), where="saccade world", fix="write --size 128 or 96x128, --objects 4 or 3-8") from error
        labels = self.labels if isinstance(self.labels, tuple) else tuple(word.strip() for word in self.labels.split(",") if word.strip())
        return Recipe(name, self.n or 0, size, self.seed, labels, self.weather, self.difficulty, self.supersample, objects, self.clutter, self.occlusion)


def run_world(name: str, out: Path, options: WorldOptions | None = None) -> Converted:
    """Draws the scenes, writes them to the folder `out` (new or empty) and opens that again to see that everything is there.

    name: a world of `data.world.table.WORLDS`. Raises UsageError USE-VALUE, RUN-EXISTS; DataError CONVERT-BACK; ResourceError RUN-DISK.
    """
    chosen = options or WorldOptions()
    recipe = chosen.recipe(name)
    layout = chosen.to or _layout(recipe)
    if layout in FORMATS:  # a name that is unknown is refused by the conversion
        kept = tuple(head for head in recipe.heads if head in FORMATS[layout].holds)
        if not kept or (recipe.labels and set(recipe.labels) - set(kept)):
            missing = ", ".join(sorted(set(recipe.heads) - set(kept)))
            holds = ", ".join(sorted(FORMATS[layout].holds))
            raise UsageError("USE-VALUE", f"{layout} does not hold {missing}", where="--to", fix=f"ask for --labels among {holds}, or write another layout")
        recipe = recipe.with_labels(kept)
    return run_convert(recipe.text, out, ConvertOptions(to=layout))


def _layout(recipe: Recipe) -> str:
    """The first layout that holds all labels asked for, coco when nothing was asked. Raises UsageError USE-MISSING."""
    if not recipe.labels:
        return "coco"
    names = [*PREFERRED, *(name for name in FORMATS if name not in PREFERRED)]
    for name in names:
        if name in FORMATS and FORMATS[name].save is not None and set(recipe.labels) <= FORMATS[name].holds:
            return name
    raise UsageError("USE-MISSING", f"no layout holds {', '.join(recipe.labels)} together", where="--to", fix=f"stream them instead: {SCHEME}{recipe.name}")
