"""What every room relies on: the signatures that tasks, networks, data and training meet in.

Every network is backbone -> neck -> heads, and a head is split by what each step is conditioned on: `forward` by the
input alone, `loss` by the truth, `decode` by the model's own decisions. A prediction and a truth are the same type.

Conventions: images are RGB float32 in [0, 1], (N, C, H, W); sizes are (h, w); points are (x, y) in continuous pixels,
pixel (i, j) covering [j, j+1] x [i, i+1]; class ids are 0..K-1 and -1 is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.phases import Phase, Stage, decay_groups

EMPTY: Mapping[str, Any] = MappingProxyType({})
IGNORE = -1


class Level(NamedTuple):
    """One map of a pyramid: `channels` wide, one cell for each stride x stride input cells."""

    channels: int
    stride: int


@dataclass(frozen=True)
class Features:
    """The maps of a batch, fine to coarse; `maps[0]` is the input itself (stride 1).

    maps: (N, C_i, *S/s_i) each; sizes: (N, D) valid extent of every sample along each axis of the input, the rest
    being padding (D = 1 sequences, 2 images, 3 volumes).
    """

    maps: Sequence[Tensor]
    sizes: Tensor

    def __getitem__(self, rows: Tensor) -> Features:
        """The rows of a batch that a head has labels for."""
        return Features([m[rows] for m in self.maps], self.sizes[rows])


_pytree.register_pytree_node(
    Features,
    lambda f: ([list(f.maps), f.sizes], None),
    lambda children, _: Features(*children),
    serialized_type_name="saccade.core.Features",
)


class Inputs(NamedTuple):
    """What a builder must know of the data: channels, the size (h, w) that a batch usually has, and per-channel constants."""

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Backbone(nn.Module):
    """(N, C, *S) float in [0, 1] and (N, D) sizes -> Features. The normalisation constants are buffers `mean`, `std`.

    `levels` is known before any forward, one entry for each map including the input; a contract test measures it.
    """

    levels: tuple[Level, ...]
    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(inputs.mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(inputs.std, dtype=torch.float32))

    def normalise(self, inputs: Tensor) -> Tensor:
        """Zero mean, unit variance by the constants of the data the network was made for."""
        lying = inputs.ndim == 4 and inputs.is_contiguous(memory_format=torch.channels_last)
        if lying and inputs.shape[1] > 1 and not torch.compiler.is_exporting():  # as lines of W * C numbers: the same values in a third of the time
            lines, width = inputs.permute(0, 2, 3, 1).flatten(2), inputs.shape[3]
            normed = (lines - self.mean.repeat(width)) / self.std.repeat(width)
            return normed.view(len(inputs), inputs.shape[2], width, inputs.shape[1]).permute(0, 3, 1, 2)
        shape = (1, -1) + (1,) * (inputs.ndim - 2)
        return (inputs - self.mean.view(shape)) / self.std.view(shape)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        raise NotImplementedError(f"{type(self).__name__} has no forward")


class Neck(nn.Module):
    """Features -> Features; necks chain, and no neck is no special case."""

    levels: tuple[Level, ...]

    def forward(self, features: Features) -> Features:
        raise NotImplementedError(f"{type(self).__name__} has no forward")


class Chain(Backbone):
    """A backbone followed by necks: itself a backbone."""

    def __init__(self, backbone: Backbone, *necks: Neck) -> None:
        nn.Module.__init__(self)
        self.backbone, self.necks = backbone, nn.ModuleList(necks)
        self.levels = (necks[-1] if necks else backbone).levels

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        features: Features = self.backbone(inputs, sizes)
        for neck in self.necks:
            features = neck(features)
        return features


@dataclass(frozen=True)
class Meta:
    """Where a sample came from, so that answers can be given in its own pixels."""

    id: str  # the record's id: its path relative to the data folder, or file#index
    size: tuple[int, int]  # (h, w) of the whole source image, after EXIF orientation
    geometry: Geometry  # pixels of the whole source image -> input pixels


class Target(Protocol):
    """A truth or a prediction of one sample; both are the same type."""

    def warp(self, g: Geometry) -> Self: ...
    def to(self, device: torch.device | str) -> Self: ...
    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray: ...
    @classmethod
    def merge(cls, parts: Sequence[Self], placements: Sequence[Geometry]) -> Self: ...


T = TypeVar("T", bound=Target)
Out = TypeVar("Out")
Answer = TypeVar("Answer", contravariant=True)


@dataclass
class Batch:
    """inputs (N, C, *S) padded, sizes (N, D), meta, and per head a target or None for each sample."""

    inputs: Tensor
    sizes: Tensor
    targets: Mapping[str, Sequence[Any]]
    meta: Sequence[Meta]

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        targets = {k: [t if t is None else t.to(device) for t in ts] for k, ts in self.targets.items()}
        return Batch(self.inputs.to(device), self.sizes.to(device), targets, self.meta)


class Head(nn.Module, Generic[Out, T]):
    """forward by the input alone, loss by the truth, decode by the model's own decisions. No method reads `self.training` to change its return type."""

    def forward(self, features: Features) -> Out:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def loss(self, out: Out, targets: Sequence[T]) -> dict[str, Tensor]:
        """Named scalars, each a mean over the samples; pure, and defined in eval mode."""
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    def decode(self, out: Out, meta: Sequence[Meta]) -> list[T]:
        """One target for each input, in the source's pixels, on the CPU."""
        raise NotImplementedError(f"{type(self).__name__} has no decode")


class System(nn.Module):
    """All the trainer knows of a network. `forward` is the entry, so that data-parallel wrappers see it."""

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        """Named loss terms of one batch; the trainer minimises their sum."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def stages(self) -> Sequence[Stage]:
        return (Stage("all", 1.0, (Phase("all", lambda: decay_groups(self)),)),)

    def outputs(self, inputs: Tensor, sizes: Tensor) -> Any:
        """What one pass over these inputs gives without a truth; its cost is that of the system."""
        raise NotImplementedError(f"{type(self).__name__} has no outputs")

    def evaluate(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, list[Any]]]:
        """The losses of one batch, and per head what is measured of each of its samples; nothing here."""
        return self(batch), {}

    frozen: tuple[str, ...] = ()
    """Names of the modules that stay as they are: no gradient, and always in eval mode, so that their running statistics stay too."""
    rates: Mapping[str, float] = EMPTY
    """Factors of the learning rate by name of a module."""

    def freeze(self, names: Sequence[str]) -> None:
        """Keeps these modules as they are from now on. Raises AttributeError for a name that is no module."""
        self.frozen = tuple(names)
        for name in names:
            self.get_submodule(name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self


class Model(System):
    """One backbone (possibly with necks), several named heads, and a weight for each head's loss.

    Each head sees the rows it has targets for, and no other; a batch without any target of a head gives no term of it.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head[Any, Any]], weights: Mapping[str, float] = EMPTY) -> None:
        super().__init__()
        unknown = set(weights) - set(heads)
        if unknown:
            raise ValueError(f"weights are given for {sorted(unknown)}, but the heads are {sorted(heads)}")
        self.backbone, self.heads, self.weights = backbone, nn.ModuleDict(dict(heads)), dict(weights)

    def outputs(self, inputs: Tensor, sizes: Tensor) -> dict[str, Any]:
        """Every head's Out, for all rows."""
        features = self.backbone(inputs, sizes)
        return {name: head(features) for name, head in self.heads.items()}

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        features = self.backbone(batch.inputs, batch.sizes)
        losses: dict[str, Tensor] = {}
        for name, head, rows, targets in self._labelled(batch):
            losses |= self._terms(name, head.loss(head(_rows(features, rows)), targets))
        return losses

    def evaluate(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, list[Any]]]:
        """The losses and the decoded answers of one batch, by a single pass through the network."""
        outs = self.outputs(batch.inputs, batch.sizes)
        losses: dict[str, Tensor] = {}
        for name, head, rows, targets in self._labelled(batch):
            losses |= self._terms(name, head.loss(_rows(outs[name], rows), targets))
        return losses, self.decode(outs, batch.meta)

    def predict(self, inputs: Tensor, sizes: Tensor, meta: Sequence[Meta]) -> dict[str, list[Any]]:
        return self.decode(self.outputs(inputs, sizes), meta)

    def decode(self, outs: Mapping[str, Any], meta: Sequence[Meta]) -> dict[str, list[Any]]:
        return {name: head.decode(outs[name], meta) for name, head in self._heads()}

    def _heads(self) -> Iterator[tuple[str, Head[Any, Any]]]:
        for name, head in self.heads.items():
            assert isinstance(head, Head)
            yield name, head

    def _labelled(self, batch: Batch) -> Iterator[tuple[str, Head[Any, Any], Tensor | None, list[Any]]]:
        unknown = set(batch.targets) - set(self.heads)
        if unknown:
            raise ValueError(f"the batch has targets for {sorted(unknown)}, but the heads are {sorted(self.heads)}")
        for name, head in self._heads():
            given = batch.targets.get(name, ())
            rows = [i for i, target in enumerate(given) if target is not None]
            if rows:
                every = len(rows) == len(batch)
                yield name, head, None if every else torch.tensor(rows, device=batch.inputs.device), [given[i] for i in rows]

    def _terms(self, name: str, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        weight = self.weights.get(name, 1.0)
        return {f"{name}.{term}" if len(self.heads) > 1 else term: weight * value for term, value in terms.items()}


def _rows(tree: Any, rows: Tensor | None) -> Any:
    return tree if rows is None else _pytree.tree_map(lambda t: t[rows], tree)


class Value(NamedTuple):
    """A metric with its 95 % interval and the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int


class Metric(Protocol[Answer]):
    """Sufficient statistics of the samples seen; merged by `+`."""

    def update(self, prediction: Answer, truth: Answer | None) -> None: ...
    def compute(self) -> dict[str, Value]: ...
    def __add__(self, other: Self) -> Self: ...


@runtime_checkable
class Stored(Protocol):
    """A truth that stays in its file until it is needed: a mask, a depth map, a second picture. `load` reads it anew each time.

    Raises DataError ANN-* or IMG-* when the file cannot be read. `paths` are the files behind it, for fingerprints and stamps.
    """

    @property
    def paths(self) -> tuple[Path, ...]: ...
    def load(self) -> Any: ...


@dataclass(frozen=True)
class Record:
    """One sample of a data set, without its pixels."""

    id: str  # unique in the set and stable: the path relative to the root, or file#index
    path: Path  # the file that holds the pixels
    index: int | None = None  # its place in a file of many images (IDX), else None
    targets: Mapping[str, Any] = field(default_factory=dict)  # head -> Target, Stored or None
    split: str | None = None  # train, val, test, or None when the data does not say
    group: str | None = None  # patient, subject, student: never divided between splits
    bytes_hash: str = ""  # content hash, hex; of the file, or of the pixels of one image of many
    size: tuple[int, int] | None = None  # (h, w) of the whole image after EXIF: as the label file says, once checked as it is


@runtime_checkable
class Dataset(Protocol):
    """Records that can be read: what a loader needs of a data set."""

    @property
    def name(self) -> str: ...
    @property
    def records(self) -> Sequence[Record]: ...
    @property
    def spaces(self) -> Mapping[str, LabelSpace]:
        """Head -> class names."""
        ...

    @property
    def channels(self) -> int: ...
    @property
    def fingerprint(self) -> str:
        """Hash over contents, labels and class names; what a run is stored with."""
        ...

    def __len__(self) -> int: ...
    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Pixels (H, W, C), uint8, or float32 in [0, 1]; with `size` a JPEG may come smaller, but never below it."""
        ...

    def size(self, i: int) -> tuple[int, int]:
        """(h, w) of the whole image of record i after EXIF orientation: what its targets' coordinates are pixels of."""
        ...

    def truth(self, i: int) -> dict[str, Any]:
        """Head -> Target or None of record i; what is stored in files is read now."""
        ...

    def subset(self, indices: Sequence[int]) -> Self: ...


class Run(Protocol):
    """A training run as its folder: what `fit` writes to and returns."""

    path: Path

    def event(self, kind: str, **fields: Any) -> None: ...
    def row(self, **fields: Any) -> None: ...


class Feed(Protocol):
    """Batches of an epoch, the same ones whenever asked again; `data.loader.Loader` is one."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]: ...


class Feeds(NamedTuple):
    """What a run learns from, and what it is watched by."""

    train: Feed
    val: Feed | None = None


class Estimated(Model):
    """A model that learns without the loop: naive Bayes, an HMM by EM, support vectors on features. All else is as of any model.

    What it learns are its buffers and parameters, whose shapes its arguments determine, so that a model file holds it like any other.
    """

    warm: bool = False
    """Whether its first weights are those of a trained model."""

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """Learns from the training batches, asked for as often as needed; long work tells `run.event("step", phase=..., n=..., total=...)`."""
        raise NotImplementedError(f"{type(self).__name__} has no estimate")
