"""A manifold of fonts: between two fonts a smooth path of letters, by an autoencoder and by a Gaussian-process latent variable model.

Command     GPLVM(2).fit(fonts); saccade train GLYPHS --task represent --set codes=8; the strips are written beside the run, strip_*.png
Data        fonts: the letters a b d e g n o R of 27 monospaced fonts, 32x32 each, a row of 8,192 pixels a font; for the autoencoder all 1,674 glyphs
Expected    along ten steps between two fonts the largest change of a step is below 0.35 of the whole way (ten equal steps are 0.1, one jump is 1),
            for both; the strips look like letters of one family at every step
Measured    GP-LVM 0.119 (its strip looked at: weight, slant and proportions change little by little, two middle steps are blurred); the
            autoencoder not yet
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from claims import data, finish, folder, hold

import saccade
from saccade import bundle
from saccade.classic.gp_lvm import GPLVM

LETTERS, ORDER = "abdegnoR", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SIDE, COLUMNS, STEPS = 32, 31, 11


def glyphs() -> dict[str, np.ndarray]:
    """{font: (62, 32, 32) in [0, 1]} of the sheets: two rows of 31."""
    found = {}
    for sheet in sorted(data("fonts/sheets").glob("*.png")):
        pixels = cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        tiles = pixels[: 2 * SIDE, : COLUMNS * SIDE].reshape(2, SIDE, COLUMNS, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE)
        found[sheet.stem] = framed(1 - tiles if tiles.mean() > 0.5 else tiles)
    return found


def framed(font: np.ndarray) -> np.ndarray:
    """(62, 32, 32) with the frame that all glyphs of the font fill together brought to 28x28 in the middle: fonts differ by shape then, not by place."""
    ink = font.max(0) > 0.3
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    out = np.zeros_like(font)
    for glyph, goal in zip(font, out, strict=True):
        cut = glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        goal[2:-2, 2:-2] = cv2.resize(cut, (SIDE - 4, SIDE - 4), interpolation=cv2.INTER_AREA)
    return out


def chosen(font: np.ndarray) -> np.ndarray:
    """(8, 32, 32): the letters that are shown."""
    return font[[ORDER.index(letter) for letter in LETTERS]]


def strip(path: Path, fonts: np.ndarray) -> float:
    """Writes (steps, 8, 32, 32) as rows of letters; the largest change of a step in shares of the sum of all."""
    rows = fonts.clip(0, 1).transpose(0, 2, 1, 3).reshape(len(fonts) * SIDE, -1)
    cv2.imwrite(str(path), cv2.resize((255 * (1 - rows)).astype(np.uint8), None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST))
    changes = np.linalg.norm(np.diff(fonts.reshape(len(fonts), -1), axis=0), axis=1)
    return float(changes.max() / changes.sum())


def between(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(11, ...) points on the straight way."""
    shares = np.linspace(0, 1, STEPS).reshape(-1, *[1] * first.ndim)
    return (1 - shares) * first + shares * last


def main() -> None:
    place, fonts = folder(), glyphs()
    rows = np.stack([chosen(font).ravel() for font in fonts.values()])
    model = GPLVM(2).fit(rows)
    apart = np.linalg.norm(model.latent_[:, None] - model.latent_[None], axis=2)
    a, b = np.unravel_index(apart.argmax(), apart.shape)
    names = list(fonts)
    print(f"from {names[a]} to {names[b]}; error of the fonts themselves {np.abs(model.inverse_transform(model.latent_) - rows).mean():.3f} a pixel")
    smooth = strip(place / "strip_gp_lvm.png", model.inverse_transform(between(model.latent_[a], model.latent_[b])).reshape(STEPS, -1, SIDE, SIDE))
    for name, font in fonts.items():
        for k, glyph in enumerate(font):
            (place / "glyphs").mkdir(exist_ok=True)
            cv2.imwrite(str(place / "glyphs" / f"{name}_{k:02d}.png"), (255 * glyph).astype(np.uint8))
    run = saccade.train(place / "glyphs", task="represent", out=place / "run", set=["codes=8", "hidden=[400,150]"], budget="4m", format="images")
    network = bundle.read(run.model).model
    letters = [torch.from_numpy(chosen(fonts[names[i]]))[:, None] for i in (a, b)]
    with torch.no_grad():
        first, last = (network.encode(letter).numpy() for letter in letters)
        decoded = [network.decoded(torch.from_numpy(step).float())[:, 0].numpy() for step in between(first, last)]
    held = hold("largest step of the autoencoder's strip", strip(place / "strip_autoencoder.png", np.stack(decoded)), 0.1, 0.35)
    finish(held, hold("largest step of the GP-LVM's strip", smooth, 0.1, 0.35))


if __name__ == "__main__":
    main()
