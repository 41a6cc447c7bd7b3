"""What `import saccade` shows: a checked-in list, documented, with errors that help."""

import importlib.metadata
import inspect
import re

import pytest

import saccade
from saccade import api
from saccade.cli.verbs import function_of
from saccade.keywords import model_of

# A name more is a decision: it is promised to every user.
PUBLIC = [
    "add_class", "check", "compare", "convert", "demo", "doctor", "duplicates", "embed", "evaluate", "interpolate", "load", "map",
    "outliers", "predict", "runs", "sample", "split", "summary", "train", "traverse", "tune", "world",
]  # fmt: skip


def test_public_names_are_those_listed():
    assert saccade.__all__ == PUBLIC
    assert len(PUBLIC) <= 30
    assert set(dir(saccade)) == {*PUBLIC, "__version__"}
    assert saccade.__version__ == importlib.metadata.version("saccade")


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_a_documented_function(name):
    function = getattr(saccade, name)
    assert function is getattr(api, name)
    words = inspect.getdoc(function) or ""
    assert words
    described = {found for line in words.splitlines() if (match := re.match(r"([a-z_, ]+): ", line)) for found in match[1].split(", ")}
    parameters = [p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert described == set(parameters), f"saccade.{name} describes {sorted(described)} but takes {sorted(parameters)}"


def test_a_misspelt_name_is_answered_with_the_likely_one():
    with pytest.raises(AttributeError, match=r"saccade has no 'trian'; did you mean train\? The options are add_class, check"):
        _ = saccade.trian


@pytest.mark.parametrize("name", PUBLIC)
def test_a_misspelt_keyword_is_a_type_error(name):
    with pytest.raises(TypeError, match=rf"{name}\(\) has no keyword 'no_such_word'; .*The options are "):
        getattr(saccade, name)(no_such_word=1)


def test_other_tools_keywords_are_recognised():
    with pytest.raises(TypeError, match=r"train\(\) has no keyword 'imgsz'; did you mean size\?"):
        saccade.train("photos", imgsz=64)


@pytest.mark.parametrize(
    ("verb", "model"),
    [
        ("check", "saccade.jobs.check:CheckOptions"),
        ("split", "saccade.jobs.split:SplitOptions"),
        ("convert", "saccade.jobs.convert:ConvertOptions"),
        ("world", "saccade.jobs.world:WorldOptions"),
        ("summary", "saccade.jobs.summary:SummaryOptions"),
        ("predict", "saccade.jobs.predict:PredictOptions"),
        ("evaluate", "saccade.jobs.evaluate:EvaluateOptions"),
        ("embed", "saccade.jobs.codes:CodeOptions"),
        ("map", "saccade.jobs.map:MapOptions"),
        ("outliers", "saccade.jobs.outliers:OutlierOptions"),
        ("duplicates", "saccade.jobs.duplicates:DuplicateOptions"),
    ],
)
def test_a_verb_has_the_options_of_its_model_with_the_same_defaults(verb, model):
    """The command line declares these options itself, so that --help need not import what the model's module imports."""
    fields = model_of(model).model_fields
    own = inspect.signature(function_of(verb)).parameters
    assert {name: own[name].default for name in fields if name in own} == {name: field.default for name, field in fields.items()}
