"""Scenes drawn by child processes are those that this process draws, and a brief training has its recipe."""

import threading

import numpy as np
import pytest

from saccade.data.world.dataset import MANY, world
from saccade.data.world.painters import Painters
from saccade.errors import SaccadeError
from saccade.jobs.options import make_options
from saccade.tasks import TASKS
from saccade.training.recipe import is_brief


def test_children_draw_the_same_bytes_for_threads():
    data, found = world("digits", n=MANY, size=24, labels=["label"], seed=3, weather="mixed"), {}
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, data.read(i))) for i in (0, 7, 491)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, pixels in found.items():
        assert np.array_equal(pixels, data.read(i)), i
    assert len(found) == 3


def test_a_child_that_dies_is_told():
    painters = Painters("world:no_such_world", (8, 8), most=1)
    with pytest.raises(SaccadeError, match="INTERNAL"):
        painters.picture(0)


def test_worlds_have_sizes_and_numbers_of_their_own():
    assert (len(world("digits")), world("digits").recipe.size, len(world("shapes")), world("shapes").recipe.size) == (2000, (64, 64), 1000, (128, 128))
    assert world("digits", n=2000, size=64).recipe == world("digits").recipe
    assert world("digits").recipe.text == "world:digits" and world("digits", n=1000).recipe.text == "world:digits?n=1000"


@pytest.mark.parametrize(("epochs", "steps", "brief"), [(5, 500, True), (12, 500, False), (2, 2000, False)])
def test_few_passes_and_few_steps_are_a_brief_training(epochs, steps, brief):
    assert is_brief(epochs, steps) is brief
    shorter = TASKS["classify"].recipe("small").brief
    assert shorter is not None and shorter.policy == "none" and shorter.brief is None


def test_simple_models_get_a_tenth_of_a_budget():
    assert make_options(data="x", budget="2m").floors_s == 12 and make_options(data="x", budget="1h").floors_s == 20
    assert make_options(data="x").floors_s == 20 and make_options(data="x", budget="2m", floors=False).floors_s == 0
