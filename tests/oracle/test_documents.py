"""Documents as word counts: against scikit-learn's vectorisers, what is recognised as documents, and from a folder to predictions on new texts."""

import csv
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

import saccade
from saccade import bundle, storage
from saccade.data.check import check
from saccade.data.open import open_dataset
from saccade.data.words import Document, Vocabulary, has_documents, in_words, learnt_from, words_of
from saccade.errors import DataError, ModelError, UsageError

TEXTS = (
    "The ship sailed; the Storm came!",
    "Bread & butter, 3 knives: bread.",
    "A judge's trial... the jury, the judge",
    "Ship the bread to the jury",
    "42 + 7",
)
PATTERN = r"(?u)[^\W\d_]{2,}"
TOPICS = {
    "kitchen": "bread oven flour butter knife recipe salt pepper soup bake",
    "law": "court judge trial witness lawyer sentence crime guilty evidence jury",
    "sea": "ship sail wave harbour anchor captain island storm fish tide",
}


@pytest.mark.parametrize("scale", ["log", "tfidf"])
def test_numbers_are_scikit_learns(scale):
    own = Vocabulary.learnt(TEXTS, most=4, scale=scale)
    peer = (CountVectorizer if scale == "log" else TfidfVectorizer)(token_pattern=PATTERN, vocabulary=own.words)
    expected = peer.fit_transform(TEXTS).toarray()
    expected = np.log1p(expected) if scale == "log" else expected
    np.testing.assert_allclose([own.numbers(text) for text in TEXTS], expected, atol=1e-6)
    new = "bread, bread and a judge with words that nobody knew"
    transformed = peer.transform([new]).toarray()[0]
    np.testing.assert_allclose(own.numbers(new), np.log1p(transformed) if scale == "log" else transformed, atol=1e-6)


def test_the_words_are_the_most_frequent():
    counts = CountVectorizer(token_pattern=PATTERN).fit(TEXTS)
    totals = dict(zip(counts.get_feature_names_out(), counts.transform(TEXTS).sum(0).A1, strict=True))
    found = Vocabulary.learnt(TEXTS, most=6).words
    assert len(found) == 6 and found[0] == "the"
    assert sorted((totals[w] for w in found), reverse=True) == sorted(totals.values(), reverse=True)[:6] == [totals[w] for w in found]
    assert Vocabulary.learnt(["bb aa cc"], most=2).words == ("aa", "bb")  # of equally frequent ones the first of the alphabet


@given(st.text(max_size=60))
def test_words_are_runs_of_letters_in_lower_case(text):
    found = words_of(text)
    assert all(len(word) >= 2 and not any(c.isdecimal() or c.isspace() or c == "_" for c in word) for word in found) and words_of(text.casefold()) == found
    vocabulary = Vocabulary.learnt([*TEXTS, text])
    assert vocabulary.numbers(text).sum() == pytest.approx(sum(np.log1p(found.count(word)) for word in set(found)), rel=1e-4)


def test_a_vocabulary_is_stored_and_what_is_damaged_is_refused():
    own = Vocabulary.learnt(TEXTS, scale="tfidf")
    assert Vocabulary.from_dict(json.loads(json.dumps(own.to_dict()))) == own
    wrongs = [
        [],
        {"words": ["a", "a"], "weights": []},
        {"words": ["a"], "scale": "log", "weights": [1.0]},
        {"words": [], "weights": []},
        {"words": ["a"], "scale": "tfidf", "weights": ["1"]},
        {"words": [1], "weights": []},
        {"words": ["a"], "scale": "idf", "weights": []},
    ]
    for wrong in wrongs:
        with pytest.raises(ModelError, match="vocabulary"):
            Vocabulary.from_dict(wrong)
    with pytest.raises(DataError, match="DATA-SMALL"):
        Vocabulary.learnt(["1 2", "a"])


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Ninety short texts of three topics, a class folder each."""
    chance, root = np.random.default_rng(0), tmp_path_factory.mktemp("texts")
    common = "the and of with was very much then again always".split()
    for topic, words in TOPICS.items():
        (root / topic).mkdir()
        for i in range(30):
            chosen = [str(chance.choice(words.split() if chance.random() < 0.4 else common)) for _ in range(30)]
            (root / topic / f"{i:02d}.txt").write_text(" ".join(chosen) + ".\n")
    return root


def test_folders_and_tables_of_texts_are_recognised(texts, tmp_path):
    found = open_dataset(texts)
    assert (found.format, len(found), found.spaces["label"].names) == ("documents", 90, ("kitchen", "law", "sea")) and has_documents(found)
    (tmp_path / "train.csv").write_text("text,label,split,id\n" + "".join(f'"{t}, and more","{i % 2}",,d{i}\n' for i, t in enumerate(TEXTS[:4])))
    table = open_dataset(tmp_path / "train.csv")
    assert table.format == "documents" and [r.id for r in table.records] == ["d0", "d1", "d2", "d3"] and {r.split for r in table.records} == {"train"}
    assert table.arrays["train.csv"][1].text() == "Bread & butter, 3 knives: bread., and more"
    report = check(found)
    assert not report.problems and "documents · 90 documents" in report.text()
    (tmp_path / "other.csv").write_text("body,topic\nthe ship sails,sea\nbread and butter,food\n")
    assert open_dataset(tmp_path / "other.csv", label="topic").spaces["label"].names == ("food", "sea")


@pytest.mark.parametrize(
    "files",
    [
        {"labels/a.txt": "0 0.5 0.5 0.2 0.2\n", "labels/b.txt": "1 0.1 0.5 0.2 0.2\n"},
        {"train.txt": "images/a.jpg\nimages/b.jpg\n" * 5, "val.txt": "images/c.jpg\n" * 5},
        {"readme.txt": "These are the words of a file that lies about alone."},
        {"captions.csv": "image,text\na.jpg,a red ship on the sea\nb.jpg,two knives and some bread\n"},
        {
            "classes.txt": "red car\nblue bus\nold tram\n",
            "LICENSE-NOTE.txt": "these words are about the data",
            "images-idx3-ubyte.gz": "",
            "labels-idx1-ubyte.gz": "",
        },
        {"notes.txt": "these words are about the data", "more.txt": "and some more words are here too", "a.dat": "", "b.dat": ""},
        {"gt/a.txt": "cat 10 20 30 40\n", "gt/b.txt": "dog 10 20 30 40\n"},
    ],
)
def test_label_files_are_no_documents(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    try:
        assert open_dataset(tmp_path).format != "documents"
    except DataError as refused:
        assert refused.code in ("DATA-LAYOUT", "DATA-FORMAT", "ANN-COLUMNS", "ANN-UNREADABLE", "ANN-IDX")


def test_what_cannot_be_read_is_told(texts, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00 no text of ours")
    for name in "bcd":
        (tmp_path / f"{name}.txt").write_text(f"some words that are here to be counted {name}")
    report = check(open_dataset(tmp_path, format="documents"))
    assert [(p.code, p.where) for p in report.problems] == [("ANN-UNREADABLE", "a.txt")] and len(report.dataset) == 3
    with pytest.raises(DataError, match="ANN-UNREADABLE"):
        Document(tmp_path / "nosuch.txt").text()
    with pytest.raises(DataError, match="knows no words"):
        in_words(open_dataset(texts), None)
    with pytest.raises(DataError, match="the data are none"):
        in_words(in_words(open_dataset(texts), Vocabulary(("ship",))), Vocabulary(("ship",)))


@pytest.fixture(scope="module")
def learnt(texts, tmp_path_factory):
    """Codes of the texts, by a model that never saw a quarter of them."""
    out = tmp_path_factory.mktemp("codes") / "run"
    return saccade.train(texts, task="represent", model="pca", set=("codes=2",), out=out, test=0.25, threads=1, floors=False, words=25)


def test_the_vocabulary_is_of_the_training_part_and_stored(learnt, texts, tmp_path):
    card = bundle.read_card(learnt.model)
    parts = storage.read_json(learnt.path / "data.json")["split"]
    dataset = open_dataset(texts)
    kept = dataset.subset([i for i, r in enumerate(dataset.records) if r.id in set(parts["train"])])
    expected = learnt_from(kept, most=25)
    assert Vocabulary.from_dict(card.preprocess["vocabulary"]) == expected and len(expected.words) == 25 and expected != learnt_from(dataset, most=25)
    assert "words = 25" in (learnt.path / "config.toml").read_text() and card.inputs.channels == 25
    (tmp_path / "new").mkdir()
    for i, text in enumerate(("the ship and the storm", "bread with salt")):
        (tmp_path / "new" / f"{i}.txt").write_text(text + " of words that were never met before")
    found = saccade.embed(learnt.path, tmp_path / "new", out=tmp_path / "new.npy").codes
    model = bundle.read(learnt.model).model
    rows = torch.from_numpy(np.stack([expected.numbers((tmp_path / "new" / f"{i}.txt").read_text()) for i in range(2)]))
    with torch.no_grad():
        np.testing.assert_allclose(found, model.encode(rows[:, :, None, None]).numpy(), atol=1e-5)


def test_codes_of_documents_are_mapped_and_ranked(learnt, texts, tmp_path):
    found = saccade.map(learnt.path, texts, out=tmp_path / "map", method="pca", threads=1)
    assert found.points.shape == (90, 2) and (tmp_path / "map" / "map.html").is_file()
    assert len(saccade.outliers(learnt.path, texts, out=tmp_path / "strange", threads=1).rows) == 90
    with pytest.raises(DataError, match="documents, and the data are none"):
        np.save(tmp_path / "numbers.npy", np.zeros((4, 25), np.float32))
        saccade.embed(learnt.path, tmp_path / "numbers.npy", out=tmp_path / "codes.npy")
    with pytest.raises(UsageError, match="saccade embed"):
        saccade.predict(learnt.path, texts, out=tmp_path / "a.jsonl")


def test_documents_are_classified_and_new_ones_predicted(texts, tmp_path):
    common = {"set": ("hidden=[16]",), "epochs": "20", "lr": "0.02", "threads": 1, "test": 0.25, "floors": False, "selftest": False}
    run = saccade.train(texts, out=tmp_path / "run", word_scale="tfidf", **common)
    assert run.metrics["accuracy"]["value"] > 0.8
    card = bundle.read_card(run.model)
    assert card.model == "mlp" and card.inputs.size == (1, 1)  # by themselves: vectors have no neighbouring pixels
    assert saccade.evaluate(run.path, texts, split="all").metrics["accuracy"]["n"] == 90
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "b.txt").write_text("salt and pepper in the soup")
    (tmp_path / "new" / "a.txt").write_text("the witness told the court of the crime")
    saccade.predict(run.path, tmp_path / "new", out=tmp_path / "answers.csv")
    answers = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert [row["answer"] for row in answers] == ["law", "kitchen"]
    again = saccade.train(texts, from_=run.path, out=tmp_path / "again", **common)  # in the words of the model that it begins with
    words = [bundle.read_card(each.model).preprocess["vocabulary"] for each in (run, again)]
    assert words[0] == words[1]
    with pytest.raises(UsageError, match="has its own words"):
        saccade.train(texts, from_=run.path, out=tmp_path / "other", words=5, **common)


def test_words_are_of_documents(tmp_path):
    np.save(tmp_path / "numbers.npy", np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
    with pytest.raises(UsageError, match="--words is of documents"):
        saccade.train(tmp_path / "numbers.npy", task="represent", model="pca", set=("codes=2",), words=5, out=tmp_path / "run", threads=1)
