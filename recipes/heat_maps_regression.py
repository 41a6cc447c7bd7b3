"""Heat maps find more joints than direct regression of coordinates does, by PCK, on the simulated person (system C5).

Command     python recipes/heat_maps_regression.py
Data        960 simulated frames of 64x64 px in 40 clips, one person with 14 joints in each; a fifth of the clips is the test; every person is cut out by
            its box. Both networks have the same backbone, pictures, changes and 30 epochs
Expected    pck05 (within 0.05 of the longer side of the box) of heat maps less that of regression: 0.02 to 1; pck of heat maps: 0.8 to 1
Measured    of 192 frames, 48 of them the test, and 12 epochs (108 steps): pck 0.735 [0.664, 0.807] against 0.655 [0.426, 0.884], pck05 0.552 [0.455, 0.649]
            against 0.412 [0.158, 0.667], error 2.7 against 3.1 px; not yet the command above
"""

from claims import finish, folder, hold

import saccade

DATA = "world:gestures?n=960&size=64&labels=keypoints&clutter=0&difficulty=easy"
KEYS = ("pck", "pck05", "pck20", "pck_head", "error", "keypoint_map")


def main() -> None:
    out, found = folder(), {}
    for model in ("heat_maps", "regression"):
        result = saccade.train(DATA, task="keypoints", model=model, test=0.2, val=0, epochs=30, out=out / model)
        found[model] = {key: result.metrics[key]["value"] for key in KEYS}
        print(model, {key: round(value, 3) for key, value in found[model].items()}, flush=True)
    gain = found["heat_maps"]["pck05"] - found["regression"]["pck05"]
    finish(hold("pck05, heat maps less regression", gain, 0.02, 1.0), hold("pck of heat maps", found["heat_maps"]["pck"], 0.8, 1.0))


if __name__ == "__main__":
    main()
