"""Data sets: the one reader, the formats, check, split, preprocessing, augmentation and the loader. `data.open.open_dataset` is the way in."""
