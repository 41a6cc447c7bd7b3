"""The one registry of coded errors: what went wrong, how bad it is, what to do about it.

Every problem that a user can meet has a code here. A problem that stops the job is raised as a subclass of
`SaccadeError`, which carries the exit code of the command line; a problem that is survived is a `Problem`, a row of
the table that `check` prints. Both have the same four parts: code, where, what was got, how to fix it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["fatal", "error", "warn", "fixed", "note"]
SEVERITIES: tuple[Severity, ...] = ("fatal", "error", "warn", "fixed", "note")


class Code(NamedTuple):
    """What one error code means: its usual severity, its meaning in one clause and what the user can do."""

    severity: Severity
    text: str
    fix: str


CODES: dict[str, Code] = {
    # images -------------------------------------------------------------------------------------------------------
    "IMG-UNREADABLE": Code("error", "the file is not an image that can be decoded", "replace the file; it is skipped meanwhile"),
    "IMG-EMPTY": Code("error", "the file has no bytes", "copy the file again; it is skipped meanwhile"),
    "IMG-TRUNC": Code("error", "the image data ends too early", "copy the file again; it is skipped meanwhile"),
    "IMG-CORRUPT": Code("error", "the image data is damaged", "copy the file again; it is skipped meanwhile"),
    "IMG-FORMAT": Code("error", "the image format is not on the list of those read", "convert it to PNG, JPEG, TIFF, WebP, BMP, GIF or PNM"),
    "IMG-BOMB": Code("error", "the image declares more pixels than the limit", "raise --max-pixels, or cut the image into tiles"),
    "IMG-SIZE": Code("error", "the image is too small to be used", "remove the file; it is skipped meanwhile"),
    "IMG-SPECIAL": Code("error", "the path is not a regular file", "remove it; only regular files are opened"),
    "IMG-DENIED": Code("error", "the file may not be read", "change its permissions; it is skipped meanwhile"),
    "IMG-MISSING": Code("error", "the file does not exist", "correct the path in the label file, or restore the image"),
    "IMG-CHANGED": Code("error", "the file changed while it was in use", "leave the data alone while a job runs, then run again"),
    "IMG-MEMORY": Code("error", "decoding the image needs more memory than allowed", "shrink the image or raise --max-pixels"),
    "IMG-CRASH": Code("error", "the decoder crashed on this image", "remove the file; it is skipped meanwhile"),
    "IMG-EXT": Code("note", "the file's extension names another format than its content", "rename it; it is read by its content"),
    "IMG-EXIF": Code("note", "the image is stored turned and its EXIF orientation is applied", "nothing to do"),
    "IMG-EXIF-BAD": Code("note", "the EXIF orientation is not one of 1 to 8 and is ignored", "nothing to do"),
    "IMG-FRAMES": Code("note", "the file holds several pictures and the first is read", "split it if the others matter"),
    "IMG-TAIL": Code("note", "the last bytes of the file are missing but every pixel is there", "nothing to do"),
    "IMG-DAMAGED": Code("warn", "the decoder left out damaged bytes; a part of the picture may be wrong", "look at the picture, and copy the file again"),
    "IMG-ALPHA": Code("note", "the image has transparency, composited on white", "flatten it if another background is meant"),
    "IMG-DEPTH": Code("note", "the image has more than 8 bits a channel and is scaled by the data set's range", "nothing to do"),
    "IMG-DIFFER": Code("warn", "the images differ in their number of channels", "convert them to one kind; they are read as the most common one"),
    "IMG-NAME": Code("note", "the file name holds bytes or characters that some programs refuse", "rename it"),
    "IMG-LINK": Code("note", "a link that leaves the data folder is not followed", "copy the file into the folder"),
    "IMG-OTHER": Code("note", "files that are not images are left out", "nothing to do"),
    "IMG-LOOSE": Code("note", "images outside of the class folders are left out", "move them into a class folder if they are labelled"),
    # annotations --------------------------------------------------------------------------------------------------
    "ANN-UNREADABLE": Code("fatal", "the label file cannot be read", "repair or export the file again"),
    "ANN-JSON": Code("fatal", "the file is not valid JSON", "export the file again, or mend it at the place shown"),
    "ANN-COCO": Code("fatal", "the JSON file is not built as COCO's", "export it again as COCO: an object with lists images, annotations and categories"),
    "ANN-REF": Code("error", "an annotation names an image or a category that the file does not list", "add the entry, or remove the annotation"),
    "ANN-ID": Code("error", "an id is used for two different entries", "give every entry an id of its own; the images are skipped meanwhile"),
    "ANN-AREA": Code("warn", "the area of an object does not fit its box; the box's is used", "export the file again, or leave the areas out"),
    "ANN-RLE": Code("error", "a mask's run lengths do not fill its image", "export the file again; the image is skipped meanwhile"),
    "ANN-ARCHIVE": Code("fatal", "the archive cannot be unpacked safely", "unpack it yourself, and name the folder"),
    "ANN-COLUMNS": Code("fatal", "the table has no column for the path or for the label", "name the columns path and label"),
    "ANN-ROW": Code("error", "a row of the table has the wrong number of cells", "repair the row; it is skipped meanwhile"),
    "ANN-EMPTY": Code("warn", "a row of the table has no label", "fill it in; the image counts as unlabelled"),
    "ANN-DUP": Code("warn", "the same image and label are listed twice", "remove the second row; it is used once"),
    "ANN-CONFLICT": Code("error", "one image is listed with two different labels", "keep one of the rows; the image is skipped meanwhile"),
    "ANN-PATH": Code("error", "the path leaves the data folder", "copy the image into the folder and correct the path"),
    "ANN-IDX": Code("fatal", "the IDX file's header and its length disagree", "download or write the file again"),
    "ANN-ENCODING": Code("note", "the table is not UTF-8", "nothing to do; it is read in the encoding shown"),
    "ANN-SPLIT": Code("fatal", "the split column holds a name other than train, val or test", "use train, val and test"),
    "ANN-NUMBER": Code("error", "a number of the label is not finite or not a number", "correct it; the image is skipped meanwhile"),
    "ANN-BOX-NEGATIVE": Code("error", "a box has a negative width or height", "exchange its corners if they are swapped; the image is skipped meanwhile"),
    "ANN-BOX-OUT": Code("error", "a box lies outside of its image", "check the image's size and the box's units; the image is skipped meanwhile"),
    "ANN-BOX-CLIP": Code("fixed", "a box stands over the edge of its image and is cut there", "nothing to do; the file is unchanged"),
    "ANN-BOX-SMALL": Code("warn", "a box is less than one pixel wide or high and is left out", "remove it, or label it again"),
    "ANN-BOX-DUP": Code("warn", "the same object is listed twice in one image and is used once", "remove the second one"),
    "ANN-FIELD": Code("error", "a field of the label file is missing or of the wrong type", "export the file again; the image is skipped meanwhile"),
    "ANN-POLYGON": Code("error", "an outline has fewer than three corners", "remove it, or draw it again; the image is skipped meanwhile"),
    "ANN-POINT-OUT": Code("error", "a point lies outside of its image", "check the image's size and the point's units; the image is skipped meanwhile"),
    "ANN-MASK": Code("error", "a mask stored in the label file cannot be read", "export the file again; the image is skipped meanwhile"),
    "ANN-KIND": Code("warn", "annotations of a kind that is not read are left out", "draw them as boxes, polygons or points if they matter"),
    "ANN-PREDICTED": Code("note", "predictions stored beside the labels are left out", "accept them in the labelling tool if they are right"),
    "ANN-ANNOTATORS": Code("note", "images labelled by several people: the first labelling of each is used", "export the one that you mean"),
    "ANN-XML": Code("fatal", "the XML holds what no label file needs", "export the file again; declarations and deep nesting are refused"),
    "ANN-YAML": Code("fatal", "the YAML file cannot be read", "mend it at the place shown; plain mappings, lists and text are read"),
    "ANN-CLASS": Code("fatal", "the labels and the list of classes disagree", "correct the list, or the labels"),
    "ANN-NAMES": Code("warn", "the data give no names for the classes, so their numbers are used", "add a data.yaml or a classes.txt"),
    "ANN-SHARE": Code("error", "a coordinate is no share of the image's width or height (0 to 1)", "divide pixels by the size; the image is skipped meanwhile"),
    "ANN-NOFILE": Code("note", "images have no label file", "nothing to do, if that is meant"),
    "ANN-ORPHAN": Code("warn", "label files have no image and are left out", "restore the images, or remove the label files"),
    "ANN-MIXED": Code("note", "some objects have an outline and others only a box, which stands for their mask", "draw outlines for them if that matters"),
    "ANN-IGNORED": Code("note", "the label file says something that is not used", "nothing to do, unless it matters to you"),
    "ANN-ORIGIN": Code("note", "corners are counted from 0, where Pascal VOC counts from 1, and are taken as they are", "nothing to do, if that is meant"),
    "ANN-CAMERA": Code("error", "the calibration of the camera is missing or cannot be read", "restore the file; the image is skipped meanwhile"),
    "ANN-SPACE": Code("error", "a box in space has a number that is not finite, or no size", "correct it; the image is skipped meanwhile"),
    "ANN-SEQ": Code("error", "a sequence cannot be used", "give every frame the same numbers, and every frame one tag; it is skipped meanwhile"),
    "ANN-UNLISTED": Code("note", "images that the table does not list are left out", "list them if they are labelled"),
    "MAP-ORPHAN": Code("warn", "a mask or second picture has no image and is left out", "give it the name of its image, or remove it"),
    "MAP-PAGES": Code("error", "the picture that holds the labels is a stack of pages", "write each page as a picture of its own; volumes are not read"),
    "MAP-VALUES": Code("fatal", "a mask holds values that are not in the class list", "add them to the class list (classes.txt), or correct the mask"),
    "ANN-SIZE": Code("error", "the labels give another size for the image than it has", "correct the size and the coordinates; it is skipped meanwhile"),
    "BOX-EMPTY": Code("error", "a box is less than one pixel wide or high", "remove it, or draw it again; the image is skipped meanwhile"),
    "BOX-DUP": Code("warn", "the same class and box are there twice in one image", "remove the second one"),
    "BOX-WHOLE": Code("warn", "a box is as large as its image", "look whether it was drawn around an object"),
    "BOX-MANY": Code("warn", "an image shows more objects than the model answers", "raise --set detections=N (and proposals=N with two stages)"),
    "BOX-TINY": Code("warn", "objects are too small to be seen at the input's size", "train with a larger --size, or on windows (--tile)"),
    "MASK-RUNS": Code("error", "a mask does not fit its plane", "export the file again; the image is skipped meanwhile"),
    "MASK-OUT": Code("error", "a mask lies outside of its image", "check the image's size; the image is skipped meanwhile"),
    "MASK-EMPTY": Code("warn", "an object's mask has no pixel", "draw it again, or remove the object"),
    "MASK-BOX": Code("warn", "an object's mask and its box are not at the same place", "look at the two, and correct the wrong one"),
    "MAP-SIZE": Code("error", "a mask or map has another size than its image", "resize it (nearest neighbour); the image is skipped meanwhile"),
    "MAP-SMOOTH": Code("fatal", "a mask has more values than there are classes: it was smoothed or saved as JPEG", "export it as PNG without anti-aliasing"),
    "MAP-IGNORED": Code("warn", "every pixel of a mask is ignored", "remove it; it teaches nothing"),
    "DEPTH-NONE": Code("error", "a depth map knows no distance", "remove it, or restore the file; it is skipped meanwhile"),
    "DEPTH-RANGE": Code("error", "a distance is not above zero, or infinite", "write unknown distances as the format wants them; it is skipped meanwhile"),
    "PAIR-SIZE": Code("error", "the two pictures of a pair are not in the usual ratio of sizes", "pair them again; they are skipped meanwhile"),
    "POINT-DUP": Code("warn", "the same dot is there twice", "remove the second one"),
    "KEY-COUNT": Code("fatal", "an object has another number of key points than the list names", "correct the list, or the labels"),
    "KEY-VISIBLE": Code("warn", "a key point's visibility and its place disagree", "set 0 for what is not labelled, 1 hidden, 2 visible"),
    "KEY-OUT": Code("warn", "a key point is labelled outside of its image", "check the image's size and the labels"),
    "KEY-BOX": Code("warn", "a key point is far outside of its object's box", "look whether it belongs to another object"),
    "KEY-SWAP": Code("note", "left and right are the other way round than in nearly all images", "look whether they are exchanged"),
    "TEXT-EMPTY": Code("warn", "a sentence is empty", "write one, or remove it"),
    "TEXT-LONG": Code("warn", "a sentence is very long", "look whether a quote was not closed"),
    "TEXT-CONTROL": Code("warn", "a sentence has characters that are not seen or turn the reading direction", "remove them"),
    "TAG-NONE": Code("warn", "a sequence has no tags", "label it, or remove it"),
    "LABELS-COUNT": Code("fatal", "an image has another number of answers than there are classes", "correct the labels, or the list of classes"),
    "GRAPH-ROW": Code("error", "a relation joins what is not there", "correct it; the image is skipped meanwhile"),
    "NUM-CONSTANT": Code("warn", "all images have the same number", "choose another column; there is nothing to learn"),
    "NUM-FAR": Code("note", "a number is far from all others", "look whether it is in the same unit"),
    "OBJ-NONE": Code("fatal", "there is no object in any image", "label some, or choose another task"),
    "OBJ-EMPTY": Code("note", "images have no object", "nothing to do, if that is so; else label them"),
    "LABEL-NONE": Code("note", "images have no label and are not used", "label them, or remove them"),
    "LABEL-ALONE": Code("note", "labels name images that are not there", "restore the images, or remove the labels"),
    # classes and splits -------------------------------------------------------------------------------------------
    "CLS-NONE": Code("fatal", "there are no labelled images", "put the images into one folder a class, or write a CSV with path,label"),
    "CLS-ONE": Code("fatal", "there is only one class", "add images of a second class"),
    "CLS-RANGE": Code("fatal", "a class id is not in the class list", "correct the id, or complete the list"),
    "CLS-CONSTANT": Code("warn", "a label is the same in every image", "remove it; there is nothing to learn"),
    "CLS-EMPTY": Code("warn", "a class has no images", "remove it or add examples"),
    "CLS-SINGLE": Code("warn", "a class has a single image, which cannot be both trained on and tested", "add examples"),
    "CLS-SPLIT": Code("fatal", "the class names differ between the splits", "use the same folder names in train, val and test"),
    "CLS-MODEL": Code("fatal", "the data have classes that the model does not know", "rename the folders, or train on these data"),
    "CLS-CASE": Code("warn", "two class names differ only in case or spaces", "merge them if they mean the same"),
    "CLS-BALANCE": Code("note", "the classes differ in size by more than a factor of ten", "nothing to do; look at the per-class numbers"),
    "DUP-EXACT": Code("warn", "the same picture is there more than once", "remove the copies; they are kept in one split"),
    "DUP-LABEL": Code("error", "the same picture has two different labels", "decide which label is right; both are skipped meanwhile"),
    "LEAK-EXACT": Code("fatal", "the same picture is in two splits", "remove it from one of them, or pass --allow-leak"),
    "LEAK-NEAR": Code("warn", "nearly the same picture is in two splits", "group them: use saccade split"),
    "LEAK-GROUP": Code("fatal", "one group is in two splits", "correct the split column, or pass --allow-leak"),
    "DATA-LAYOUT": Code("fatal", "the folder's layout was not recognised", "use one folder a class, a CSV with path,label, or IDX files"),
    "DATA-FORMAT": Code("fatal", "the layout is known and is not read", "convert it with datumaro, or export it as COCO from the tool"),
    "DATA-NOIMAGES": Code("note", "the data are label files without images", "nothing to do; they serve to compare detections with"),
    "DATA-MISSING": Code("fatal", "the path does not exist", "check the spelling of the path"),
    "DATA-BAD": Code("fatal", "too many samples are unusable", "mend the files listed, or raise --max-bad"),
    "DATA-CHANGED": Code("fatal", "the data is not that of the stored fingerprint", "restore it, or pass --data-changed-ok"),
    "CONVERT-BACK": Code("fatal", "what was written does not read as what was meant", "this is a fault of saccade; write another layout meanwhile"),
    "DATA-TASK": Code("fatal", "the data do not have the labels that the task needs", "choose another task, or label the images for this one"),
    "DATA-SMALL": Code("fatal", "there are too few labelled images to train and to evaluate", "add examples"),
    "LOSS-HEAD": Code("warn", "a kind of label that the layout cannot hold is left out", "write another layout too, if it matters"),
    "LOSS-FIELD": Code("warn", "a part of the labels that the layout cannot hold is left out", "write another layout too, if it matters"),
    # model files --------------------------------------------------------------------------------------------------
    "MODEL-UNSAFE": Code("fatal", "the file is a pickle, zip or HDF5 file, which can run code when opened", "use a .saccade file"),
    "MODEL-CORRUPT": Code("fatal", "the model file is damaged", "copy it again; its hash is in the run folder"),
    "MODEL-MISSING": Code("fatal", "there is no model file at this path", "check the path; a run keeps its model in model.saccade"),
    "MODEL-NEWER": Code("fatal", "the model file was written by a newer version", "update saccade"),
    "MODEL-ARCH": Code("fatal", "the model file names an architecture that is not known", "update saccade, or train again"),
    "MODEL-ARGS": Code("fatal", "the architecture's arguments are out of range", "train again; the file was not written by saccade"),
    "MODEL-TENSORS": Code("fatal", "the tensors are not those of the architecture", "copy the file again, or train again"),
    "MODEL-NAN": Code("fatal", "the weights hold values that are not finite", "train again, or pass --allow-nan"),
    "MODEL-CLASSES": Code("fatal", "the class names do not fit the head", "train again; the file was not written by saccade"),
    "MODEL-HASH": Code("fatal", "the weights are not those the card was written for", "copy the file again"),
    "WEIGHTS-FETCH": Code("fatal", "the published weights cannot be fetched", "check the network, or put the file into the cache folder by hand"),
    "WEIGHTS-HASH": Code("fatal", "the weight file is not the one that was published", "remove it from the cache and fetch it again"),
    "WEIGHTS-KEYS": Code("fatal", "the weight file's tensors are not those of the network", "name the network that the file was made for"),
    # runs and training --------------------------------------------------------------------------------------------
    "TUNE-NONE": Code("fatal", "no trial of the search could be trained", "look at trials.csv, and search other values"),
    "RUN-MISSING": Code("fatal", "there is no run at this path", "list the runs with saccade runs"),
    "RUN-EXISTS": Code("fatal", "the output folder is not empty", "choose another --out, or resume with --resume"),
    "RUN-CHECKPOINT": Code("fatal", "no checkpoint of the run can be read", "start the run again"),
    "RUN-FALLBACK": Code("warn", "the last checkpoint is damaged and the one before it is used", "nothing to do"),
    "RUN-CONFIG": Code("fatal", "the resumed run was started with other settings", "resume with the stored settings, or start a new run"),
    "RUN-ACTIVE": Code("fatal", "another process is writing this run", "wait for it, or stop it"),
    "RUN-DISK": Code("fatal", "the disk is full or may not be written", "free some space, then resume"),
    "RUN-MEMORY": Code("fatal", "there is not enough memory", "use a smaller --batch or --size"),
    "RUN-DIVERGED": Code("fatal", "the loss is not finite, and smaller rates did not help", "lower --lr; the batch is kept in nan_batch/"),
    "RUN-NAN": Code("warn", "a step's loss or gradient was not finite and the step was left out", "lower --lr if it happens often"),
    "RUN-THREADS": Code("warn", "another number of threads than the run was started with", "use --threads to get the same bytes"),
    "RUN-SELFTEST": Code("warn", "the network cannot fit eight images", "check the labels and the learning rate"),
    "REFINE-OFF": Code("warn", "the random field behind the network stays off", "nothing to do; give more validation images for it to be set by"),
    "RUN-FLAT": Code("warn", "the loss does not fall", "raise --lr, or check the labels"),
    "RUN-RATE": Code("warn", "the loss rises: the learning rate is too high", "lower --lr"),
    "RUN-VANISH": Code("warn", "vanishing gradients: the first layers are hardly taught", "use ReLU, normalisation, skips or fewer layers"),
    "RUN-EXPLODE": Code("warn", "exploding gradients: the first layers are changed far more than the last", "use normalisation, skips or --clip"),
    "GEN-COLLAPSE": Code("warn", "samples are all alike, or leave classes of the pictures out", "train longer, lower --lr, or set spectral=true"),
    "GEN-POSTERIOR": Code("warn", "most codes say nothing of the picture: the decoder does without them", "set free_bits=0.1, a smaller beta or fewer codes"),
    "GEN-MEMORY": Code("warn", "samples are copies of training pictures", "train on more pictures, for fewer epochs, or with a smaller network"),
    "RUN-ONECLASS": Code("warn", "the model answers one class for every image", "train longer, or check the class balance"),
    "RUN-CONTROL": Code("warn", "control.json asks for what a run cannot do, and nothing was changed", "write {\"lr\": 0.0005} or {\"stop\": true}"),
    "RUN-CROWDED": Code("note", "other programs use the cores", "stop them, or give --threads to decide yourself"),
    "RUN-BUDGET": Code("warn", "the budget is too small for one epoch, which is divided where it can be", "raise --budget, or lower --size"),
    "RUN-INTERRUPTED": Code("fatal", "stopped on request, after saving", "go on with --resume"),
    "RUN-WORKER": Code("fatal", "a loader thread does not answer", "look at the image named; it blocks the reader"),
    "DEVICE": Code("fatal", "the device is not available", "use --device cpu, or see saccade doctor"),
    # evaluation, prediction ---------------------------------------------------------------------------------------
    "GATE-FAILED": Code("fatal", "a metric is below the gate", "look at the worst images in the report"),
    "PRED-NONE": Code("fatal", "there is no image to predict", "check the path or the pattern; quote a pattern so that the shell leaves it alone"),
    "PRED-BOXES": Code("error", "nothing says where the objects of the image are", "name the image in the file of --boxes, or give --detector"),
    "PRED-FAILED": Code("warn", "some inputs have no answer", "see failed.jsonl"),
    "COMPARE-SET": Code("fatal", "the two evaluations are not of the same images", "evaluate both on the same split"),
    # usage --------------------------------------------------------------------------------------------------------
    "USE-VERB": Code("fatal", "the command is not known", "see saccade --help"),
    "USE-CODE": Code("fatal", "the error code is not known", "see saccade doctor --explain all"),
    "USE-OPTION": Code("fatal", "an option is not known", "see --help"),
    "USE-VALUE": Code("fatal", "a value is out of range", "see --help"),
    "USE-EXTRA": Code("fatal", "it needs a package that is not installed", "install the extra that is named"),
    "USE-MISSING": Code("fatal", "something that the command needs was not given", "see --help"),
    "INTERNAL": Code("fatal", "saccade itself failed", "the crash report tells where; nothing of yours was changed"),
}  # fmt: skip


class SaccadeError(Exception):
    """A coded error that stops the job: code, where, what was got and how to fix it.

    `exit` is the exit code of the command line (DESIGN: 1 internal, 2 usage, 3 data, 4 model file, 5 diverged,
    6 resource, 7 partial, 8 gate, 130/143 interrupted).

    >>> print(DataError("IMG-TRUNC", "58 % of the data", where="img/0041.jpg"))
    error IMG-TRUNC  img/0041.jpg
      the image data ends too early: 58 % of the data
      fix: copy the file again; it is skipped meanwhile
    """

    exit = 1

    def __init__(self, code: str, got: str = "", *, where: str = "", fix: str = "") -> None:
        known = CODES[code]
        self.code, self.got, self.where, self.fix = code, got, displayable(where), fix or known.fix
        self.text = known.text
        super().__init__(self.__str__())

    def __str__(self) -> str:
        head = f"error {self.code}" + (f"  {self.where}" if self.where else "")
        what = f"{self.text}: {self.got}" if self.got else self.text
        return f"{head}\n  {what}\n  fix: {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "where": self.where, "what": f"{self.text}: {self.got}" if self.got else self.text, "fix": self.fix, "exit": self.exit}

    def problem(self, severity: Severity | None = None) -> Problem:
        """The same as a row of a problem table, for jobs that skip the sample and go on."""
        return Problem(self.code, self.where, self.got, severity or CODES[self.code].severity)


class UsageError(SaccadeError):
    exit = 2


class DataError(SaccadeError):
    exit = 3


class ModelError(SaccadeError):
    exit = 4


class DivergedError(SaccadeError):
    exit = 5


class ResourceError(SaccadeError):
    exit = 6


class PartialError(SaccadeError):
    exit = 7


class GateError(SaccadeError):
    exit = 8


class InterruptedRun(SaccadeError):
    """Stopped by a signal after saving; exit 130 for SIGINT and 143 for SIGTERM and SIGHUP."""

    exit = 130


@dataclass(frozen=True)
class Problem:
    """One row of a problem table: a coded finding that did not stop the job."""

    code: str
    where: str = ""
    got: str = ""
    severity: Severity | None = None
    image: str = ""  # the record's id, where `where` is a place in a label file

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", self.severity or CODES[self.code].severity)
        object.__setattr__(self, "where", displayable(self.where))
        object.__setattr__(self, "image", displayable(self.image))

    @property
    def text(self) -> str:
        return CODES[self.code].text

    @property
    def fix(self) -> str:
        return CODES[self.code].fix

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "text": self.text, "fix": self.fix}


def displayable(text: str) -> str:
    r"""A path or name as printable text: undecodable bytes as \xff, control characters escaped, never an exception.

    >>> displayable("a\udcff.png")
    'a\\xff.png'
    """
    shown = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def unknown_name(given: Iterable[str], known: Iterable[str]) -> str:
    """The first name that is not known, with the options; empty when all are.

    >>> unknown_name({"sizes": 1}, ["size", "fill"])
    'sizes; did you mean size? The options are size, fill'
    """
    listed = list(known)
    return next((f"{name}; {nearest(name, listed)}" for name in given if name not in listed), "")


def nearest(word: str, options: Iterable[str], hints: dict[str, str] | None = None) -> str:
    """A sentence that lists the options, with the likely one first: the ending of every "unknown option" error.

    >>> nearest("resnt18", ["lenet5", "resnet18"])
    'did you mean resnet18? The options are lenet5, resnet18'
    """
    listed = list(options)
    likely = (hints or {}).get(word) or next(iter(difflib.get_close_matches(word, listed, 1, 0.6)), "")
    return (f"did you mean {likely}? " if likely else "") + f"The options are {', '.join(listed)}"
