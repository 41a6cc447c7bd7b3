"""Sound as frames: against the definition of the Fourier transform and scipy's; files of every width; folders of sounds, from training to answers."""

import json
import wave

import numpy as np
import pytest
import torch
from scipy.signal import stft

from saccade import api
from saccade.data.columns import columns
from saccade.data.formats.sounds import sound_frames
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.models.sequence import convolution
from saccade.ops.sound import BANDS, SILENCE, frames_of_sound, log_mel, mel_bands
from saccade.targets import Label
from tests.contract.test_models_sequence import NUMBERS, SPACE

RATE = 8000


def tone(rises, seconds=0.3, seed=0, rate=RATE):
    """A sweep between two frequencies, up or down, under noise: the two kinds have the same mean spectrum."""
    chance = np.random.default_rng(seed)
    low, high = chance.uniform(300, 500), chance.uniform(1500, 2500)
    t = np.arange(int(seconds * rate)) / rate
    first, last = (low, high) if rises else (high, low)
    phase = 2 * np.pi * (first * t + (last - first) * t**2 / (2 * seconds))
    return 0.5 * np.sin(phase + chance.uniform(0, 6)) + 0.02 * chance.normal(size=len(t))


def write(path, samples, width=2, channels=1, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = np.round(np.clip(samples, -1, 1) * (2.0 ** (8 * width - 1) - 1)).astype(np.int64)
    both = np.repeat(scaled[:, None], channels, 1)
    data = (both + 128).astype(np.uint8).tobytes() if width == 1 else both.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(channels)
        stream.setsampwidth(width)
        stream.setframerate(rate)
        stream.writeframes(data)
    return path


def test_frames_are_those_of_the_definition():
    samples = tone(True)
    found = log_mel(samples, RATE)
    window, step, size = 200, 80, 256
    assert found.shape == (frames_of_sound(len(samples), RATE), BANDS) == (1 + (len(samples) - window) // step, 40)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    for t in (0, 7, len(found) - 1):
        piece = samples[t * step : t * step + window] * hann
        power = np.array([abs(sum(piece * np.exp(-2j * np.pi * k * np.arange(window) / size))) ** 2 for k in range(size // 2 + 1)]) / hann.sum() ** 2
        wanted = np.log10(mel_bands(RATE, size) @ power + SILENCE)
        assert np.abs(found[t] - wanted).max() < 1e-5
    _, _, other = stft(samples, RATE, hann, window, window - step, size, boundary=None, padded=False)
    assert np.abs(np.log10(mel_bands(RATE, size) @ np.abs(other) ** 2 + SILENCE).T[: len(found)] - found).max() < 1e-5


def test_bands_are_triangles_in_hertz_whatever_the_rate():
    bands = mel_bands(16000, 4096)
    middles = bands.argmax(1) * 16000 / 4096
    assert (np.diff(middles) > 0).all() and (np.diff(middles[20:]) > np.diff(middles[19:-1]) * 0.9).all() and bands.max() <= 1
    inner = slice(int(200 / 16000 * 4096), int(7000 / 16000 * 4096))
    assert np.abs(bands[:, inner].sum(0) - 1).max() < 1e-9, "every frequency is shared out among two bands"
    one, two = log_mel(tone(True, rate=16000), 16000), log_mel(tone(True, rate=8000), 8000)
    below = middles < 3000
    assert abs(len(one) - len(two)) <= 1 and np.corrcoef(one[5:20, below].ravel(), two[5:20, below].ravel())[0, 1] > 0.9
    assert (two[:, middles > 4500] < -9.9).all() and len(log_mel(np.zeros(3), RATE)) == 1
    with pytest.raises(ValueError, match="some samples"):
        log_mel(np.zeros(0), RATE)


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 3)])
def test_files_of_every_width_hold_the_same_sound(width, channels, tmp_path):
    found = sound_frames(write(tmp_path / "a.wav", tone(True), width, channels).read_bytes())
    wanted = log_mel(tone(True), RATE)
    loud = wanted > (-4 if width == 1 else -7)
    assert found.shape == wanted.shape and np.abs(found - wanted)[loud].max() < (0.1 if width == 1 else 0.02)


def test_bad_files_are_named(tmp_path):
    good = write(tmp_path / "a.wav", tone(True)).read_bytes()
    for content, told in (
        (good[:1000], "the sound ends after"),
        (b"RIFF1234WAVE", "no wave file"),
        (b"", "no wave file"),
        (good[:44], "the sound ends|samples"),
    ):
        with pytest.raises(DataError, match=f"ANN-SEQ(.|\n)*({told})"):
            sound_frames(content)
    floats = bytearray(good)
    floats[20:22] = (3).to_bytes(2, "little")
    with pytest.raises(DataError, match="no wave file of plain numbers"):
        sound_frames(bytes(floats))


def sounds(root, count=16):
    for i in range(count):
        part = "test" if i % 4 == 3 else "train"
        write(root / part / ("up" if i % 2 else "down") / f"{i // 2}.wav", tone(bool(i % 2), 0.15 + 0.02 * (i % 5), seed=i))
    return root


def test_a_folder_of_sounds_is_a_set_of_sequences(tmp_path):
    root = sounds(tmp_path / "sounds")
    (root / "train" / "up" / "bad.wav").write_bytes(b"RIFF")
    found = open_dataset(root)
    assert found.format == "sounds" and found.spaces["label"].names == ("down", "up") and len(found) == 16 and found.splits == ("train", "test")
    assert [(problem.code, problem.where) for problem in found.problems] == [("ANN-SEQ", "train/up/bad.wav")] and "16 sounds" in found.reason
    place = next(i for i, record in enumerate(found.records) if record.id == "train/up/2.wav")
    wanted = log_mel(tone(True, 0.15 + 0.02 * (5 % 5), seed=5), RATE)
    assert found.truth(place)["label"] == Label(1) and found.read(place).shape == found.size(place) == wanted.shape
    assert np.abs(found.read(place) - wanted)[wanted > -7].max() < 0.02
    column = columns(found)
    assert column.read(place).shape == (len(wanted), 1, 40) and column.size(place) == (len(wanted), 1)
    write(root / "train" / "up" / "2.wav", tone(True, 0.5))
    with pytest.raises(DataError, match="IMG-CHANGED"):
        found.read(place)


def test_sounds_from_training_to_answers(tmp_path):
    """Sweeps up and down have the same mean spectrum: what names them is neighbourhood in time."""
    root = sounds(tmp_path / "sounds", 32)
    options = {"model": "convolution", "set": ("channels=[16, 16, 16]",), "epochs": "12", "batch": 8, "threads": 1, "selftest": False}
    run = api.train(root, out=tmp_path / "run", **options)
    assert run.metrics["accuracy"]["value"] >= 0.85 and run.samples == "sequences"
    (root / "train" / "up" / "bad.wav").write_bytes(b"RIFF")
    found = api.predict(run.path, root, out=tmp_path / "out", overlay=True, threads=1)
    rows = {row["id"]: row for row in map(json.loads, found.path.read_text().splitlines())}
    assert (found.n, found.failed, found.exit) == (33, 1, 7) and rows["train/up/bad.wav"]["code"] == "ANN-SEQ"
    right = [row["answer"] == name.split("/")[1] for name, row in rows.items() if row["status"] == "ok"]
    assert sum(right) / len(right) >= 0.85 and len(list((tmp_path / "out" / "overlay").iterdir())) == 32
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(json.dumps({"id": name, "frames_path": f"sounds/{name}"}) for name in ("test/up/1.wav", "test/up/3.wav")))
    again = api.predict(run.path, lines, out=tmp_path / "again.jsonl", threads=1)
    told = [json.loads(line) for line in again.path.read_text().splitlines()]
    assert [row["answer"] for row in told] == [rows[row["id"]]["answer"] for row in told]


def test_convolutions_see_their_neighbours_alone():
    torch.manual_seed(0)
    model = convolution(NUMBERS, SPACE, channels=(8, 8)).eval()
    x, sizes = torch.randn(1, 3, 60, 1), torch.tensor([[60, 1]])
    changed = x.clone()
    changed[:, :, 30] += 5
    with torch.no_grad():
        moved = (model.outputs(x, sizes)["tags"].logits - model.outputs(changed, sizes)["tags"].logits).abs().sum(2)[0] > 0
    reach = (3 - 1) * (2**3 - 2) // 2
    assert moved.nonzero().flatten().tolist() == list(range(30 - reach, 31 + reach))
