"""Options that several verbs have, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Format = Annotated[str | None, Parameter(help="the layout, instead of finding out; saccade convert --list names them")]
Group = Annotated[str | None, Parameter(help="a column, or an expression on the path, that names what must stay together", metavar="COLUMN|REGEX")]
LabelColumn = Annotated[str | None, Parameter(help="the table's column of labels; for folders: path names a class by all its folders", metavar="COLUMN")]
PathColumn = Annotated[str | None, Parameter(help="the table's column of image paths", metavar="COLUMN")]
MaxBad = Annotated[float, Parameter(help="share of the images that may be unusable", metavar="SHARE")]
MaxPixels = Annotated[int, Parameter(help="pixels an image may declare", metavar="N")]
Leak = Annotated[bool, Parameter(help="accept pictures or groups that are in two given splits", negative="")]
Deep = Annotated[bool, Parameter(help="decode the pixels, not only the headers")]
Near = Annotated[bool, Parameter(help="look for nearly the same pictures")]
Isolate = Annotated[bool, Parameter(help="decode in child processes, so that a crash of a decoder is survived", negative="")]
Follow = Annotated[bool, Parameter(help="follow links out of the data's folder", negative="")]
Reading = Annotated[int, Parameter(help="files read at a time", metavar="N")]
Seed = Annotated[int, Parameter(help="of every random choice")]
Threads = Annotated[int | None, Parameter(help="of the network", metavar="N")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda, cuda:0 ...")]
Batch = Annotated[int | None, Parameter(help="images at a time", metavar="N")]
With = Annotated[tuple[Path, ...], Parameter(name="--with", help="more models, whose answers are combined with the first one's", metavar="MODEL")]
Views = Annotated[str, Parameter(help="answer changed copies of every picture too: none, flip, and others that an error lists", metavar="NAME")]
Combine = Annotated[Literal["mean", "geometric", "vote"], Parameter(help="how classes of several models or views are combined")]
Tile = Annotated[int | None, Parameter(help="answer by windows of so many pixels a side; 0 = the whole image (default: as trained)", metavar="N")]
TileOverlap = Annotated[int | None, Parameter(help="pixels that neighbouring windows share (default: a quarter of --tile)", metavar="N")]
Boxes = Annotated[
    str | None, Parameter(help="of models of single objects: a file of boxes (COCO, or predict's JSON lines), or whole = all of every image", metavar="FILE")
]
Detector = Annotated[Path | None, Parameter(help="of models of single objects: the model that finds them first", metavar="MODEL")]
Precision = Annotated[Literal["auto", "fp32", "bf16"], Parameter(help="of the network's arithmetic")]
AllowNan = Annotated[bool, Parameter(help="read a model file whose weights are not all finite", negative="")]
ModelFile = Annotated[Path, Parameter(help="a model.saccade, or a run's folder")]
CodedData = Annotated[str, Parameter(help="a folder, a table, IDX files, vectors (.csv, .npy), or documents (.txt); labels are not needed")]
Part = Annotated[Literal["train", "val", "test", "all"], Parameter(help="part of the data", metavar="PART")]
GenerativeModel = Annotated[Path, Parameter(help="a model.saccade of the task generate (of sample: represent too), or a run")]
DrawnLabel = Annotated[str | None, Parameter(help="draw this class (default: every class in turn, or none)", metavar="NAME")]
DrawSteps = Annotated[int | None, Parameter(help="of diffusion, from noise to picture (default: the model's own)", metavar="N")]
DrawnCondition = Annotated[
    tuple[str, ...], Parameter(help="COLUMN=NUMBER that every picture is told; again for more (default: the column's mean)", metavar="COLUMN=X")
]
Guidance = Annotated[float, Parameter(help="1 = as learnt; above, more typical of the class; 0 = not told the class", metavar="X")]
NoiseSeed = Annotated[int, Parameter(help="of the noise; picture i of a seed is the same however many are drawn")]
NewFolder = Annotated[Path, Parameter(help="a new folder", metavar="DIR")]
