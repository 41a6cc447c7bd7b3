"""Masks, points, crowds, steps and files of the detectors with two stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saccade.core import Features, Inputs, LabelSpace, Level, Model
from saccade.models import coco, two_stage, weights
from saccade.models.published import published_key
from saccade.models.ssd import ssd300_vgg16
from saccade.nn.heads.keypoint_branch import KeypointRCNN, located, point_goals
from saccade.nn.heads.mask_branch import MaskRCNN, mask_goals, pasted
from saccade.nn.heads.two_stage import DenseTrunk, Pooler, TwoStage
from saccade.ops import masks as mask_ops
from saccade.targets import Boxes, Instances
from tests.support.detectors import BOXES, BUILDERS, INPUTS, SHRUNK, SPACE, TWO, batch, heads, pyramid, truths

pytestmark = pytest.mark.oracle


def test_what_a_mask_learns_and_answers_are_each_other():
    ids = truths("instances")[0].ids
    goals = mask_goals(ids, BOXES.xyxy, torch.arange(3), 28)
    assert goals.shape == (3, 28, 28) and float(goals[0, 14, 14]) == 1 and float(goals[0, 0, 0]) == 0
    for row in range(3):
        x1, y1, x2, y2 = BOXES.xyxy[row].tolist()
        inner = (x2 - x1 - 4) * (y2 - y1 - 4) / ((x2 - x1) * (y2 - y1))
        assert float(goals[row].mean()) == pytest.approx(inner, abs=0.07)
        found = pasted(goals[row], BOXES.xyxy[row].numpy(), BOXES.xyxy[row].numpy() * 2, SHRUNK.geometry, SHRUNK.size)
        seen, want = mask_ops.mask_of(found), np.kron((ids == row + 1).numpy(), np.ones((2, 2), bool))
        assert (seen & want).sum() / (seen | want).sum() > 0.93
    assert pasted(torch.zeros(28, 28), BOXES.xyxy[0].numpy(), BOXES.xyxy[0].numpy() * 2, SHRUNK.geometry, SHRUNK.size) is None
    assert mask_goals(ids, BOXES.xyxy[:0], torch.zeros(0, dtype=torch.int64), 28).shape == (0, 28, 28)


def test_what_a_point_learns_and_answers_are_each_other():
    target = truths("keypoints")[0]
    goals = point_goals(target, BOXES.xyxy, torch.arange(3), 56)
    assert bool((goals[:, :2] >= 0).all()) and bool((goals[:, 2] == -1).all())
    logits = torch.zeros(3, 3, 56 * 56).scatter(2, goals.clamp_min(0)[..., None], 30.0).view(3, 3, 56, 56)
    xy, scores = located(logits, BOXES.xyxy)
    cell = (BOXES.xyxy[:, 2:] - BOXES.xyxy[:, :2])[:, None] / 56
    assert bool(((xy - target.xy).abs()[:, :2] <= cell * 0.51).all()) and bool((scores > 0.99).all())
    assert point_goals(target, BOXES.xyxy[[2]], torch.tensor([0]), 56).tolist()[0][0] >= 0
    assert point_goals(target, torch.tensor([[90.0, 80, 100, 90]]), torch.tensor([0]), 56).tolist() == [[-1, -1, -1]]
    assert located(torch.zeros(0, 3, 56, 56), torch.zeros(0, 4))[0].shape == (0, 3, 2)


def test_masks_and_points_of_a_network_lie_in_their_boxes():
    torch.manual_seed(0)
    for name in ("mask_rcnn", "keypoint_rcnn"):
        model = BUILDERS[name](threshold=0.0, detections=7).eval()
        head = next(iter(model.heads.values()))
        assert isinstance(head, MaskRCNN | KeypointRCNN)
        with torch.inference_mode():
            found = model.predict(torch.rand(1, 3, 96, 128), torch.tensor([[96, 128]]), [SHRUNK])[next(iter(model.heads))][0]
        assert 0 < len(found) <= 7
        for row, (x1, y1, x2, y2) in enumerate(found.boxes.xyxy.tolist()):
            if isinstance(found, Instances):
                rows, columns = np.nonzero(found.mask(row))
                assert found.size == (192, 256) and x1 - 1 <= columns.min() and columns.max() <= x2 and y1 - 1 <= rows.min() and rows.max() <= y2
            else:
                seen = found.xy[row][found.visible[row] > 0]
                assert bool((seen >= torch.tensor([x1 - 1, y1 - 1])).all()) and bool((seen <= torch.tensor([x2 + 1, y2 + 1])).all())


def test_crowds_and_ignored_classes_are_neither_found_nor_missed():
    head = heads()["retina"]
    out = head(Features([m.float() for m in pyramid(1).maps], pyramid(1).sizes))
    loose = Boxes(torch.cat([BOXES.xyxy, torch.tensor([[0.0, 0, 128, 96]])]), torch.tensor([0, 2, 1, -1]))
    crowd = Boxes(loose.xyxy, loose.classes.clamp_min(0), crowd=torch.tensor([False, False, False, True]))
    plain, ignored, crowded = ({name: float(term.detach()) for name, term in head.loss(out, [t]).items()} for t in (BOXES, loose, crowd))
    assert ignored["class"] < plain["class"] and ignored == crowded and ignored["box"] == plain["box"]
    with pytest.raises(ValueError, match=r"class ids must be 0..2, or -1 for ignored, got 0..3"):
        head.loss(out, [Boxes(BOXES.xyxy, torch.tensor([0, 2, 3]))])


# four steps ------------------------------------------------------------------------------------------------------


def test_each_step_of_four_changes_its_own_part_only():
    torch.manual_seed(0)
    model = BUILDERS["four_step"]()
    given = batch(model)
    names = {"proposals": ("first_",), "detector": ("backbone.", "heads.boxes.trunk", "heads.boxes.scores", "heads.boxes.deltas")}
    names |= {"shared_proposals": ("heads.boxes.regions",), "shared_detector": ("heads.boxes.trunk", "heads.boxes.scores", "heads.boxes.deltas")}
    assert sum(stage.epochs for stage in model.stages()) == 1 and [stage.name for stage in model.stages()] == list(names)
    for stage in model.stages():
        before = {key: value.clone() for key, value in model.state_dict().items()}
        optimiser = torch.optim.SGD(stage.phases[0].groups(), lr=0.1)
        sum(model(given, stage.phases[0].name).values()).backward()
        optimiser.step()
        model.zero_grad()
        changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        assert changed and all(key.startswith(names[stage.name]) for key in changed)


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="four_step training needs neck fpn"):
        two_stage.faster_rcnn(INPUTS, SPACE, neck="c4", training="four_step", **TWO)
    with pytest.raises(ValueError, match="names no key points"):
        two_stage.keypoint_rcnn(INPUTS, LabelSpace(("a",)), **TWO)
    with pytest.raises(ValueError, match="one source of regions"):
        TwoStage([Level(4, 16)], 3, trunk=DenseTrunk(4, 4), pooler=Pooler((16,)), regions=None)


# published weights -----------------------------------------------------------------------------------------------


def file_of(network: str, model: Model) -> dict[str, torch.Tensor]:
    """A file's tensors as in `keys` of the golden numbers, made from our own shapes and numbered by class."""
    from tests.golden.test_golden_detect import stored

    return {key: torch.zeros(()).expand(shape) for key, shape in stored(network)["keys"].items()}


def test_a_file_serves_other_classes_and_coco_classes_take_their_rows(monkeypatch, tmp_path):
    network, inputs = "ssd300_vgg16", Inputs(3, (300, 300), (0.5,) * 3, (0.25,) * 3)
    tensors = file_of(network, None)
    score = "head.classification_head.module_list.4.bias"
    tensors[score] = torch.arange(364.0)
    monkeypatch.setattr(weights, "import_weights", lambda path: tensors)
    with torch.device("meta"):
        model = ssd300_vgg16(inputs, SPACE)
    model = model.to_empty(device="cpu")
    fresh = weights.load(model, network, tmp_path, SPACE.names)
    assert {key.split(".")[2] for key in fresh} == {"scores"} and len(fresh) == 12
    known = ssd300_vgg16
    with torch.device("meta"):
        model = known(inputs, LabelSpace(("dog", "person")))
    model = model.to_empty(device="cpu")
    assert weights.load(model, network, tmp_path, ("dog", "person")) == []
    own = published_key(network, score)
    assert model.state_dict()[own].tolist() == [91.0 * a + c for a in range(4) for c in (0, 18, 1)]


def test_rows_of_two_stage_and_retina_files():
    given = {"heads.boxes.scores.weight": torch.arange(91.0)[:, None], "heads.boxes.deltas.bias": torch.arange(364.0)}
    own = {"heads.boxes.scores.weight": torch.zeros(3, 1), "heads.boxes.deltas.bias": torch.zeros(12)}
    got = coco.chosen(given, own, ["dog", "person"])
    assert got["heads.boxes.scores.weight"].flatten().tolist() == [0, 18, 1]
    assert got["heads.boxes.deltas.bias"].tolist() == [*range(4), *range(72, 76), *range(4, 8)]
    retina = {"heads.boxes.scores.output.bias": torch.arange(819.0)}
    got = coco.chosen(retina, {"heads.boxes.scores.output.bias": torch.zeros(18)}, ["dog", "person"])
    assert got["heads.boxes.scores.output.bias"].tolist() == [91.0 * a + c for a in range(9) for c in (18, 1)]
    points = coco.chosen({"heads.keypoints.scores.bias": torch.arange(2.0)}, {"heads.keypoints.scores.bias": torch.zeros(2)}, ["person"])
    assert points["heads.keypoints.scores.bias"].tolist() == [0, 1]
    assert coco.chosen(given, own, ["cell", "person"]) == given
