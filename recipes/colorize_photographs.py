"""Colours of grey photographs, learnt from plain photographs in ten minutes: vivid, and nearer to the truth than grey where it can be told.

Command     saccade train PHOTOGRAPHS --task colorize --budget 10m; saccade evaluate RUN KEPT_ASIDE
Data        as recipes/upscale_photographs.py; the input is the luma, the baseline is the grey picture itself
Expected    psnr_rgb less that of the grey picture 0 to 10; delta_e over the grey picture's 0.3 to 1; chroma_share 0.2 to 1.5
Measured    27.63 dB against 24.90 dB of grey, delta_e 10.6 against 14.3 (0.74 of it), chroma_share 0.94 (2026-11-21, one thread, the other core busy)
"""

from claims import finish, folder, hold, photographs

import saccade


def main() -> None:
    place = folder()
    train, test = photographs(place)
    result = saccade.train(train, task="colorize", budget="10m", out=place / "run")
    found = {key: value.value for key, value in saccade.evaluate(result.path, test, out=place / "evaluation").evaluation.values.items()}
    print({key: round(value, 3) for key, value in found.items()}, f"a sheet: {place / 'evaluation'}")
    gain = hold("psnr_rgb above the grey picture's", found["psnr_rgb"] - found["psnr_rgb_unchanged"], 0.0, 10.0)
    nearer = hold("delta_e over the grey picture's", found["delta_e"] / found["delta_e_unchanged"], 0.3, 1.0)
    finish(gain, nearer, hold("chroma_share", found["chroma_share"], 0.2, 1.5))


if __name__ == "__main__":
    main()
