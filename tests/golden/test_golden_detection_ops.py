"""Operators of detectors against torchvision's numbers (README.md here)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.ops import box_coders, iou, roi
from saccade.ops.focal import focal_loss
from saccade.ops.nms import nms

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).parent / "ops.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * float(want.abs().mean()))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_suppression(golden, case, threshold):
    boxes, scores, classes = (golden[f"nms{case}_{part}"] for part in ("boxes", "scores", "classes"))
    assert nms(boxes, scores, threshold).tolist() == golden[f"nms{case}_keep_{threshold}"].tolist()
    assert nms(boxes, scores, threshold, classes).tolist() == golden[f"nms{case}_batched_{threshold}"].tolist()
    assert nms(boxes, scores, threshold, classes, limit=7).tolist() == golden[f"nms{case}_batched_{threshold}"].tolist()[:7]


@pytest.mark.parametrize("kind", iou.KINDS)
def test_overlaps_and_their_losses(golden, kind):
    a, b = golden["coder_anchors"], golden["coder_boxes"]
    close(iou.pairwise(a, b, kind), golden[f"pair_{kind}"])
    if kind != "iou":
        close(iou.box_loss(a, b, kind), golden[f"loss_{kind}"])


@pytest.mark.parametrize(("name", "weights"), [("rcnn", (10.0, 10.0, 5.0, 5.0)), ("unit", (1.0, 1.0, 1.0, 1.0))])
def test_box_coding(golden, name, weights):
    coder = box_coders.DeltaCoder(weights)
    close(coder.encode(golden["coder_boxes"], golden["coder_anchors"]), golden[f"coder_{name}_deltas"])
    close(coder.decode(golden["coder_anchors"], golden[f"coder_{name}_deltas"]), golden[f"coder_{name}_decoded"])


def test_focal_loss(golden):
    close(focal_loss(golden["focal_logits"], golden["focal_targets"]), golden["focal_loss"])


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 2])
def test_region_alignment(golden, aligned, sampling):
    found = roi.roi_align(golden["roi_features"], golden["roi_boxes"], (7, 7), scale=0.25, sampling=sampling, aligned=aligned)
    close(found, golden[f"roi_align_7x7_scale0.25_aligned{aligned}_sampling{sampling}"])


def test_region_alignment_of_another_aspect(golden):
    close(roi.roi_align(golden["roi_features"], golden["roi_boxes"], (3, 5), scale=0.25, sampling=2), golden["roi_align_3x5_scale0.25"])


def test_region_pooling(golden):
    close(roi.roi_pool(golden["roi_features"], golden["roi_boxes"], (7, 7), scale=0.25), golden["roi_pool_7x7_scale0.25"])
