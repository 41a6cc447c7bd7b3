"""`sample`, `interpolate`, `traverse`: new pictures of a generative model, strips between two of them, and sliders of its codes."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from saccade import bundle, storage
from saccade.bundle import Bundle
from saccade.data.image import read_image
from saccade.data.preprocess import Preprocess
from saccade.errors import ModelError, UsageError, nearest
from saccade.generative.base import Generative
from saccade.generative.walks import SPAN, between, straight
from saccade.inference.answers import image_file
from saccade.inference.generated import grid, slider_rows, unsaid, write_png
from saccade.inference.tables import write_csv
from saccade.jobs.codes import new_place
from saccade.jobs.evaluate import placed
from saccade.targets import ImageTarget
from saccade.training.engine import set_threads

COLUMNS = 10  # of a sheet


class DrawOptions(BaseModel):
    """What a user may say of how pictures are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Annotated[str | None, Field(description="draw this class (default: every class in turn)")] = None
    condition: Annotated[tuple[str, ...], Field(description="COLUMN=NUMBER that every picture is told, in the column's units (default: its mean)")] = ()
    steps: Annotated[int | None, Field(ge=1, le=10_000, description="of diffusion, from noise to picture (default: the model's own)")] = None
    guidance: Annotated[float, Field(ge=0, le=50, description="1 = as learnt; above, more typical of the class; 0 = not told the class")] = 1.0
    threads: Annotated[int | None, Field(ge=1, le=1024, description="of the network")] = None
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"


class SampleOptions(DrawOptions):
    """What a user may say of samples."""

    seed: Annotated[int, Field(ge=0, description="of the noise; picture i of a seed is the same however many are drawn")] = 0
    density: Annotated[str | None, Field(description="of a model of codes: standard, gaussian, mixture (default) or kernel, fitted to codes")] = None
    codes: Annotated[Path | None, Field(description="of a model of codes: those the density is fitted to (default: those of its run's evaluation)")] = None
    number: Annotated[int, Field(ge=1, le=1_000_000, description="pictures to draw")] = 64
    eta: Annotated[float, Field(ge=0, le=1, description="of diffusion: fresh noise in every step, 0 = none, 1 = as DDPM has")] = 0.0
    batch: Annotated[int, Field(ge=1, le=65_536, description="pictures at a time")] = 64


class InterpolateOptions(DrawOptions):
    """What a user may say of a strip."""

    pictures: Annotated[int, Field(ge=2, le=1000, description="in the strip, both ends among them")] = 11


class TraverseOptions(DrawOptions):
    """What a user may say of sliders."""

    codes: Annotated[tuple[int, ...], Field(description="these codes, from 0 (default: those that change the picture most)")] = ()
    top: Annotated[int, Field(ge=1, le=1000, description="how many codes, where none is named")] = 10
    pictures: Annotated[int, Field(ge=2, le=100, description="of a slider")] = 9


@dataclass(frozen=True)
class Drawn:
    """The folder, the pictures (n, C, h, w) in [0, 1], and a row for each: file, and where it comes from."""

    path: Path
    pictures: Tensor
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "n": len(self.pictures)}


class Drawer:
    """A generative model from its file, on its device, with what the options ask of every picture.

    Raises ModelError; UsageError USE-VALUE for a model that is not generative and unknown classes, USE-OPTION for options that it does not have.
    """

    def __init__(self, model: Path | str, options: DrawOptions) -> None:
        set_threads(options.threads)
        self.found: Bundle = bundle.read(bundle.model_file(model))
        if not isinstance(self.found.model, Generative):
            got = f"{self.found.card.model} is of the task {self.found.card.task}"
            raise UsageError("USE-VALUE", got, where=str(model), fix="train one by saccade train DATA --task generate")
        network, _ = placed(self.found, options.device)
        assert isinstance(network, Generative)
        self.system, self.names, self.options = network, next(iter(self.found.card.spaces.values())).names, options
        self.how: dict[str, Any] = {}
        if options.steps is not None:
            self.refuse(network.steps is None, "--steps", "it draws in one step")
            self.how["steps"] = options.steps
        if options.guidance != 1.0:
            self.refuse(not network.guides or not network.classes, "--guidance", "it was not trained to be guided by a class or by numbers")
            self.how["guidance"] = options.guidance
        self.refuse(options.label is not None and (not network.classes or bool(network.columns)), "--label", "it was trained without classes")
        self.refuse(bool(options.condition) and not network.columns, "--condition", "it was trained without columns of numbers")
        if options.label is not None and options.label not in self.names:
            raise UsageError("USE-VALUE", f"{options.label}; {nearest(options.label, self.names)}", where="--label")

    @cached_property
    def vector(self) -> Tensor | None:
        """(K,) of the columns asked for; None where the model is told none, or nothing is asked. Raises UsageError USE-VALUE."""
        if not self.options.condition:
            return None
        told = Preprocess.from_dict(self.found.card.preprocess).told
        if told is None:
            raise ModelError("MODEL-ARGS", "the model is told columns, and its card does not say in which units", where=str(self.found.card.model))
        values = dict(zip(told.columns, told.means, strict=True))
        for text in self.options.condition:
            name, _, number = text.partition("=")
            if name not in values:
                raise UsageError("USE-VALUE", f"{name}; {nearest(name, told.columns)}", where="--condition")
            try:
                values[name] = float(number)
            except ValueError:
                raise UsageError("USE-VALUE", f"{text}, expected COLUMN=NUMBER", where="--condition") from None
        if not all(map(math.isfinite, values.values())):
            raise UsageError("USE-VALUE", f"{', '.join(self.options.condition)}, expected finite numbers", where="--condition")
        return told.vector(values)

    def refuse(self, wrong: bool, option: str, why: str) -> None:
        """Raises UsageError USE-OPTION where an option has no meaning."""
        if wrong:
            raise UsageError("USE-OPTION", f"{self.found.card.model}: {why}", where=option, fix=f"leave {option} out")

    @property
    def label(self) -> int | None:
        return None if self.options.label is None else self.names.index(self.options.label)

    def arithmetic(self) -> AbstractContextManager[None]:
        """That which training chose for the model; a context to enter once."""
        return placed(self.found, self.options.device)[1]

    def told(self, n: int) -> Tensor | None:
        """What n pictures are told: the class or the numbers asked for, or nothing."""
        if self.vector is not None:
            return self.system.told_of(self.vector.expand(n, -1), n)
        return unsaid(self.system, n) if self.label is None else self.system.told_of([self.label] * n, n)

    def labels(self, first: int, n: int) -> Any:
        """What n samples from number `first` on are told: class ids, every class in turn where none is asked for; vectors (n, K); or None."""
        if self.vector is not None:
            return self.vector.expand(n, -1)
        if not self.system.classes or self.system.columns:
            return None
        return [(first + i) % self.system.classes if self.label is None else self.label for i in range(n)]

    def said(self, label: Any) -> dict[str, Any]:
        """What a row of the table tells of a sample: its class, or the numbers that were asked for."""
        asked = dict(text.split("=", 1) for text in self.options.condition)
        return {name: asked.get(name, "") for name in self.system.columns} if self.system.columns else {"class": "" if label is None else self.names[label]}

    def draw(self, noise: Tensor) -> Tensor:
        with torch.inference_mode(), self.arithmetic():
            return self.system.draw(noise.to(self.system.device), self.told(len(noise)), **self.how).cpu()

    def code(self, source: str | Path) -> Tensor:
        """(*noise_shape): the code of a picture's file, or of a whole number the noise of that seed. Raises DataError, UsageError USE-VALUE."""
        if str(source).isdecimal() and not Path(source).exists():
            return self.system.noise(1, int(str(source)))[0]
        if not self.system.encodes:
            got = f"{self.found.card.model} finds no codes of pictures"
            raise UsageError("USE-VALUE", got, where=str(source), fix="give whole numbers, the seeds of two samples")
        preprocess = Preprocess.from_dict(self.found.card.preprocess)
        pixels = read_image(Path(source), channels=preprocess.channels, at_least=preprocess.size, value_range=preprocess.value_range).pixels
        shrunk = preprocess.shrink(pixels)
        picture = preprocess.apply(shrunk, preprocess.geometry(shrunk.shape[:2]))
        with torch.inference_mode(), self.arithmetic():
            return self.system.encode(picture[None].to(self.system.device), self.told(1))[0]


def run_sample(model: Path | str, options: SampleOptions | None = None, *, out: Path = Path("samples")) -> Drawn:
    """Writes 00000.png and on, sheet.png (at most 100) and samples.csv (file, seed, number, class) into a new folder.
    Of a model of the task represent: see `jobs.sample_codes`.

    Raises UsageError RUN-EXISTS, and as `Drawer` does.
    """
    chosen = options or SampleOptions()
    if bundle.read_card(bundle.model_file(model)).task == "represent":
        from saccade.jobs.sample_codes import run_sample_codes

        return run_sample_codes(model, chosen, out=out)
    drawer = Drawer(model, chosen)
    for name in ("density", "codes"):
        drawer.refuse(getattr(chosen, name) is not None, f"--{name}", "it draws from the noise that it was trained with")
    drawer.refuse(chosen.eta != 0 and drawer.system.steps is None, "--eta", "it draws in one step")
    how = drawer.how | ({"eta": chosen.eta} if chosen.eta else {})
    new_place(out)
    system, parts, rows = drawer.system, [], []
    for first in range(0, chosen.number, chosen.batch):
        n = min(chosen.batch, chosen.number - first)
        labels = drawer.labels(first, n)
        with torch.inference_mode(), drawer.arithmetic():
            drawn = system.sample(n, seed=chosen.seed, first=first, labels=labels, batch=n, **how).cpu()
        for i, picture in enumerate(drawn):
            file = image_file(ImageTarget(picture), out / f"{first + i:05d}")
            rows.append({"file": file.name, "seed": chosen.seed, "number": first + i, **drawer.said(None if labels is None else labels[i])})
        parts.append(drawn)
    pictures = torch.cat(parts)
    write_png(out / "sheet.png", grid(pictures[: COLUMNS * COLUMNS], columns=COLUMNS))
    write_csv(out / "samples.csv", rows)
    return Drawn(out, pictures, rows)


def run_interpolate(model: Path | str, first: str | Path, last: str | Path, options: InterpolateOptions | None = None, *, out: Path = Path("strip")) -> Drawn:
    """Writes the pictures between two, 00000.png and on, and strip.png. first, last: files of pictures, or whole numbers: the seeds of two samples.

    Codes of an autoencoder are joined by a straight line, noise along a great circle. Raises UsageError RUN-EXISTS, DataError, and as `Drawer` does.
    """
    chosen = options or InterpolateOptions()
    drawer = Drawer(model, chosen)
    codes = between(drawer.code(first), drawer.code(last), chosen.pictures, spherical=not straight(drawer.system))
    pictures = drawer.draw(codes)
    new_place(out)
    rows = []
    for i, picture in enumerate(pictures):
        file = image_file(ImageTarget(picture), out / f"{i:05d}")
        rows.append({"file": file.name, "share": round(i / (chosen.pictures - 1), 6)})
    write_png(out / "strip.png", grid(pictures, columns=len(pictures)))
    write_csv(out / "strip.csv", rows)
    return Drawn(out, pictures, rows)


def run_traverse(model: Path | str, image: str | Path | None = None, options: TraverseOptions | None = None, *, out: Path = Path("sliders")) -> Drawn:
    """Writes sliders.png, a row a code that goes from -3 to 3 deviations while the others stay, and sliders.csv (row, code, how much it changes).

    image: a file whose code is begun with, or the seed of a sample; the middle of all codes where nothing is said. Raises UsageError RUN-EXISTS,
    USE-VALUE for codes that the model does not have and models whose noise is a map; and as `Drawer` does.
    """
    chosen = options or TraverseOptions()
    drawer = Drawer(model, chosen)
    system = drawer.system
    if len(system.noise_shape) != 1:
        raise UsageError("USE-VALUE", f"{drawer.found.card.model} has no single codes, its noise is a map", where=str(model), fix="give a vae or a dcgan")
    if outside := [code for code in chosen.codes if not 0 <= code < system.noise_shape[0]]:
        raise UsageError("USE-VALUE", f"{outside[0]}; the codes are 0 to {system.noise_shape[0] - 1}", where="--codes")
    base = None if image is None else drawer.code(image)
    with torch.inference_mode(), drawer.arithmetic():
        told = drawer.told(1)
        pictures, places = slider_rows(system, base, told, most=chosen.top, n=chosen.pictures, places=list(chosen.codes) or None)
    new_place(out)
    write_png(out / "sliders.png", grid(pictures, columns=chosen.pictures))
    change = [float((row[-1] - row[0]).abs().mean()) for row in pictures.view(len(places), chosen.pictures, *pictures.shape[1:])]
    rows = [{"row": i, "code": code, "from": -SPAN, "to": SPAN, "change": round(c, 6)} for i, (code, c) in enumerate(zip(places, change, strict=True))]
    write_csv(out / "sliders.csv", rows)
    storage.write_json(out / "sliders.json", {"model": str(model), "image": None if image is None else str(image), "codes": places})
    return Drawn(out, pictures, rows)
