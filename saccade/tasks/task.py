"""What a task is: data, without inheritance and without side effects at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

from saccade.core import Dataset, LabelSpace, Metric, T
from saccade.data.crops import Crops
from saccade.data.degrade import Degrade
from saccade.data.preprocess import Mode
from saccade.inference.evaluate import evaluate
from saccade.inference.postprocess import AsItIs, Postprocess, postprocess_of
from saccade.models.table import settled
from saccade.training.recipe import Recipe

Size = tuple[int, int]


@dataclass(frozen=True)
class Task(Generic[T]):
    """The one place that knows target, metric, models and how to begin.

    head: the name under which records hold their target, a key of `targets.TARGETS`. about: what is learnt, in a few words. metric: a fresh
    metric for a label space (and `threshold=` where `inference.postprocess` chooses thresholds for the head). monitor: the key that chooses
    the best epoch. models: builders by name, the default first. example: a small learnable data set.
    size: the input (h, w) of a model for images that are typically so large. mode: how a picture fits the input. tile: side of the windows that
    images are learnt from and answered by where the user does not say; None for the whole image. recipes: what training does
    when nothing is said, by model; "" is that of all others. measure: one pass of a model over a loader, see `inference.evaluate.evaluate`.
    degrade: of a task whose truth is the picture itself: how the input is made from it, given the builder's arguments; such a task needs no
    labels. crops: of a task whose inputs may be objects instead of images: how they are cut out, given the builder's arguments; None for whole images.
    floors: simple models beside it, see `inference.floors.run_floors`. samples: what is learnt from and answered. wanted: whether a data set
    with these heads, of sequences or not, is of this task where the user does not say; asked in the order of the table. adapt: an `ImageDataset` as one that
    has the head, made of other truths.
    unlabelled: whether it learns from pictures alone, though it can be told their classes where they have some. watch: of a task whose answers are judged
    (see `inference.judge`), what measures an epoch, made of the model and a metric; its `measure` takes `judge` and `training` besides.
    suggests: arguments of a model's builder that follow from the (adapted) data set, where neither user nor recipe says.
    """

    name: str
    head: str
    about: str
    target: type[T]
    metric: Callable[..., Metric[T]]
    monitor: str
    models: Mapping[str, Callable[..., Any]]
    example: Callable[[], Dataset]
    size: Callable[[str, Size], Size]
    mode: Mode = "stretch"
    tile: int | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=lambda: {"": Recipe("the usual recipe")})
    measure: Callable[..., Any] = evaluate
    degrade: Callable[[Mapping[str, Any]], Degrade] | None = None
    crops: Callable[[Mapping[str, Any]], Crops | None] | None = None
    floors: Callable[..., dict[str, Any]] | None = None
    samples: Literal["images", "sequences"] = "images"
    wanted: Callable[[Sequence[str], bool], bool] | None = None
    adapt: Callable[[Any], Any] | None = None
    suggests: Callable[[Any, str], Mapping[str, Any]] | None = None
    unlabelled: bool = False
    watch: Callable[..., Any] | None = None

    @property
    def postprocess(self) -> type[Postprocess]:
        """What finishes the answers."""
        return AsItIs if self.unlabelled else postprocess_of(self.head)

    @property
    def needs_labels(self) -> bool:
        """Whether pictures without a truth say nothing to it."""
        return self.degrade is None and not self.unlabelled

    @property
    def judged(self) -> bool:
        """Whether what it makes is judged by a classifier: then `measure` takes `judge` and `training`."""
        return self.watch is not None

    def recipe(self, model: str) -> Recipe:
        """What training does with this model when nothing is said."""
        return self.recipes.get(model, self.recipes[""])

    def degrading(self, model: str, arguments: Mapping[str, Any]) -> Degrade | None:
        """How inputs are made from clean pictures for this model; None where the data have truths of their own."""
        return None if self.degrade is None else self.degrade(settled(self.name, model, arguments))

    def suits(self, heads: Sequence[str], sequences: bool = False) -> bool:
        """Whether it is what a data set with these heads is for; sequences: whether its samples are sequences."""
        return self.wanted(heads, sequences) if self.wanted is not None else self.head in heads and not sequences

    def space_of(self, spaces: Mapping[str, LabelSpace]) -> LabelSpace:
        """The names of the head's classes; none where it has no classes."""
        return spaces.get(self.head, LabelSpace(()))
