"""Filters learnt without labels from patches of photographs: with whitening like Gabor and Laplace filters, in colour with opponent colours.

Command     PatchDictionary(64, size=10, learner="kmeans" | "ica" | "pca", whiten=True | False).fit(patches).draw()
Data        caltech7: patches of 10x10 px of 338 photographs, in grey and in colour; 40,000 of each
Expected    the mean share of a filter's energy that the best Gabor or Laplace filter explains: 0.6 to 1 for k-means and ICA on whitened grey patches, and by
            0.05 to 0.8 more than without whitening for k-means; of whitened colour patches 0.1 to 0.9 of the filters are of opponent colours
Measured    not yet on 40,000 patches; the sheets are written beside the run, filters_*.png, to be looked at
"""

import cv2
import numpy as np
from claims import data, finish, folder, hold

from saccade.classic.patch_dictionary import PatchDictionary, gabor_likeness, opponency, sample_patches
from saccade.data.open import open_dataset

SIZE, ATOMS, PATCHES, SIDE = 10, 64, 40_000, 160
OPPONENT = 0.5  # of the energy of a filter that is in colour and not in grey, from which it counts


def photographs(grey: bool) -> list[np.ndarray]:
    """Photographs reduced to at most 160 px, (h, w, C) in [0, 1]."""
    source, found = open_dataset(data("classification/caltech7")), []
    for i in range(len(source)):
        pixels = source.read(i, (SIDE, SIDE)).astype(np.float32) / 255
        scale = SIDE / max(pixels.shape[:2])
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
        found.append(pixels.mean(2, keepdims=True) if grey else pixels)
    return found


def main() -> None:
    place = folder()
    share: dict[tuple[str, bool], float] = {}
    grey = sample_patches(photographs(grey=True), SIZE, PATCHES)
    for learner in ("kmeans", "ica", "pca"):
        for whiten in (True, False):
            learnt = PatchDictionary(ATOMS, size=SIZE, channels=1, learner=learner, whiten=whiten).fit(grey)
            share[learner, whiten] = float(gabor_likeness(learnt.planes()[:, 0]).mean())
            name = f"filters_grey_{learner}_{'whitened' if whiten else 'plain'}"
            cv2.imwrite(str(place / f"{name}.png"), learnt.draw()[:, :, ::-1])
            print(f"{name}: {share[learner, whiten]:.3f} of the energy is that of one wavelet", flush=True)
    colour = sample_patches(photographs(grey=False), SIZE, PATCHES)
    opponents = {}
    for whiten in (True, False):
        learnt = PatchDictionary(ATOMS, size=SIZE, channels=3, learner="kmeans", whiten=whiten).fit(colour)
        opponents[whiten] = float((opponency(learnt.planes()) > OPPONENT).mean())
        cv2.imwrite(str(place / f"filters_colour_kmeans_{'whitened' if whiten else 'plain'}.png"), learnt.draw()[:, :, ::-1])
    print(f"filters of opponent colours: whitened {opponents[True]:.2f}, plain {opponents[False]:.2f}")
    held = [hold(f"wavelets among {name} of whitened patches", share[name, True], 0.6, 1.0) for name in ("kmeans", "ica")]
    held.append(hold("k-means: whitened less plain", share["kmeans", True] - share["kmeans", False], 0.05, 0.8))
    finish(*held, hold("share of opponent filters, whitened", opponents[True], 0.1, 0.9))


if __name__ == "__main__":
    main()
