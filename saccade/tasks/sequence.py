"""Sequences: a tag for every frame, or a label for the whole; frames are numbers or pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.data.columns import columns, longest
from saccade.data.dataset import ImageDataset
from saccade.data.world.worlds import gestures
from saccade.inference.ribbons import evaluate_sequences
from saccade.metrics.classification import Classification
from saccade.metrics.sequences import SequenceTagging
from saccade.models.table import MODELS
from saccade.targets import Label, TagSequence
from saccade.tasks.classify import measured
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

WHY = "sequences: small networks, no random changes of frames"
RECIPES: Mapping[str, Recipe] = {
    "": Recipe(WHY, "none", rate=2e-2, weight_decay=0.01, batch=16, clip=5.0),
    "bilstm": Recipe(WHY, "none", rate=5e-3, weight_decay=0.01, batch=16, clip=1.0),
    "convolution": Recipe(WHY, "none", rate=3e-3, weight_decay=0.01, batch=16, clip=1.0),
}


def column_size(model: str, typical: Size) -> Size:
    """The longest column that is taken, of frames as wide as they typically are: batches are only as long as their longest sequence."""
    side = max(1, typical[1])
    return longest(typical[0]) // side * side, side


def example(sequences: int = 24, head: str = "tags") -> ImageDataset:
    """Joints of the simulated figures that gesture, five points in three dimensions a frame: with the label of each frame, or of each sequence."""
    import torch

    from saccade.data.world.chance import MOTION, Chance
    from saccade.data.world.figures import person_joints

    space = LabelSpace(gestures.LABELS if head == "tags" else gestures.KINDS)
    frames, records = [], []
    for i in range(sequences):
        kind = gestures.KINDS[i % 3]
        script = gestures.script(Chance(i, 0, MOTION), kind, head == "tags")
        moments = [gestures.at(script, t * gestures.STEP_S) for t in range(gestures.FRAMES)]
        frames.append(np.stack([person_joints(pose)[6:11].ravel() for _, pose in moments]).astype(np.float32))
        tags = torch.tensor([space.index(part.label) for part, _ in moments]) if head == "tags" else None
        target: Any = Label(space.index(kind)) if tags is None else TagSequence(tags)
        records.append(Record(f"gestures#{i}", Path("gestures"), i, {head: target}))
    found = ImageDataset("gestures", Path("."), "sequences", "made", tuple(records), {head: space}, channels=15, arrays={"gestures": frames})
    return columns(found)


def label_example() -> ImageDataset:
    """`example` with the label of each sequence."""
    return example(head="label")


SEQUENCE: Task[TagSequence] = Task(
    name="sequence",
    head="tags",
    about="a tag for every frame of a sequence",
    target=TagSequence,
    metric=SequenceTagging,
    monitor="accuracy",
    models=MODELS["sequence"],
    example=example,
    size=column_size,
    mode="pad",
    recipes=RECIPES,
    measure=evaluate_sequences,
    samples="sequences",
    wanted=lambda heads, sequences: "tags" in heads,
)

SEQUENCE_LABEL: Task[Label] = Task(
    name="sequence_label",
    head="label",
    about="one label for a whole sequence",
    target=Label,
    metric=Classification,
    monitor="accuracy",
    models=MODELS["sequence_label"],
    example=label_example,
    size=column_size,
    mode="pad",
    recipes=RECIPES,
    measure=measured,
    samples="sequences",
    wanted=lambda heads, sequences: sequences and "label" in heads and "tags" not in heads,
)
