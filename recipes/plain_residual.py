"""A deeper plain net trains worse, a deeper residual net does not (He et al. 2016, figure 6; system B4).

Command     python recipes/plain_residual.py [--quick]
Data        1,000 MNIST digits at 12x12 pixels, drawn at random, 12 epochs (with a GPU: 10,000 at 32x32, 40 epochs)
Expected    training error of plain-56 over that of plain-20: at least 1 point more; of ResNet-56 over that of ResNet-20: at most 1 point
            more; zero-initialised residual blocks leave the features as they are (difference 0)
Measured    training error of plain-20 1.10 %, of plain-56 74.7 %, of ResNet-20 0.00 %, of ResNet-56 0.20 %; 3 to 8 minutes a net with one thread beside
            fourteen other programs
"""

import sys
import time

import torch
from claims import data, finish, folder, hold
from tensors import pictures, train, wrong

from saccade.models.table import build
from saccade.nn.blocks import BasicBlock


def training_error(name: str, digits, place, *, epochs: int, device: str) -> float:
    """In per cent, of the weights that the run ends with."""
    began = time.monotonic()
    torch.manual_seed(0)
    net = build("classify", name, digits.inputs, digits.space)
    options = {"optimiser": "heavy_ball", "momentum": 0.9, "rate": 0.05, "weight_decay": 1e-4, "schedule": "steps", "warmup": 0.1}
    rows = train(net, digits, place / name, epochs=epochs, device=device, **options)
    error = 100 * wrong(net, digits)
    losses = ", ".join(f"{row['train_loss']:.3f}" for row in rows)
    print(f"{name}: training error {error:.2f} %, loss {losses}; {time.monotonic() - began:.0f} s", flush=True)
    return error


def untouched(digits) -> float:
    """The largest difference between what goes into a zero-initialised block of ResNet-18 that keeps its size and what comes out."""
    torch.manual_seed(0)
    net, differences = build("classify", "resnet18", digits.inputs, digits.space, {"zero_init_residual": True}).eval(), []
    for block in (m for m in net.modules() if isinstance(m, BasicBlock)):
        block.register_forward_hook(lambda m, given, out: differences.append((given[0], out[0])))
    net.outputs(digits.images[:8], torch.tensor([digits.images.shape[2:]] * 8))
    same = [(a - b).abs().max().item() for a, b in differences if a.shape == b.shape]
    print(f"{len(same)} of {len(differences)} blocks keep their size", flush=True)
    return max(same)


def main() -> None:
    large, quick = torch.cuda.is_available(), "--quick" in sys.argv
    device, count, side, epochs = ("cuda", 10_000, 32, 40) if large else ("cpu", 200, 12, 1) if quick else ("cpu", 1_000, 12, 12)
    digits, place = pictures(data("classification/mnist_idx"), count, side), folder()
    found = {name: training_error(name, digits, place, epochs=epochs, device=device) for name in ("plain20", "plain56", "resnet20", "resnet56")}
    finish(
        hold("plain-56 less plain-20, points of training error", found["plain56"] - found["plain20"], 1, 100),
        hold("ResNet-56 less ResNet-20, points of training error", found["resnet56"] - found["resnet20"], -100, 1),
        hold("difference that zero-initialised blocks make", untouched(digits), 0, 0),
    )


if __name__ == "__main__":
    main()
