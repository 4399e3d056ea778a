"""The tagger against plain NumPy, against itself one sentence at a time, and on a made-up language
whose tags lie in the future; its files; scores and the yardstick by hand."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import text
from tinygrad_rnn.tasks import scores
from tinygrad_rnn.tasks import tagger_plots as plots
from tinygrad_rnn.tasks.tagger import (
    BATCH,
    KIND,
    PADDING,
    VERSION,
    Lexicon,
    Tagger,
    Tagging,
    load_tagger,
    tag,
)
from tinygrad_rnn.tasks.training import Plan, Row, train
from tinygrad_rnn.text import TaggedSentence, pad

EWT = os.environ.get("TINYGRAD_RNN_EWT")
LENGTHS = [5, 1, 7, 3]
ROWS, TAGS = (9, 6, 4), 5


def sentence(pairs: str) -> TaggedSentence:
    words, tags = zip(*(pair.split("/") for pair in pairs.split()), strict=True)
    return TaggedSentence(words, tags)


def tagger(cell: str = "rnn", bidirectional: bool = True, dropout: float = 0.0) -> Tagger:
    rng = np.random.default_rng(0)
    model = Tagger(ROWS, TAGS, cell, 6, bidirectional, rng).astype(np.float64)
    model.dropout.p = dropout
    return model


def sentences(rng: np.random.Generator, lengths: list[int]) -> list[list[np.ndarray]]:
    """Classes of each feature, and of the tags, for each sentence."""
    return [[rng.integers(0, n, T) for n in (*ROWS, TAGS)] for T in lengths]


def batch(rows: list[list[np.ndarray]]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    *ids, tags = [pad(arrays)[0] for arrays in zip(*rows, strict=True)]
    lengths = np.array([len(row[0]) for row in rows])
    tags[np.arange(len(tags))[:, None] >= lengths] = PADDING
    return ids, lengths, tags


def gradients(model: Tagger) -> dict[str, np.ndarray]:
    return {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}


# ---------------------------------------------------------------------------------------- the model


def by_hand(model: Tagger, row: list[np.ndarray], both: bool) -> np.ndarray:
    """The logits of one sentence by the equations of the simple network, in plain NumPy."""
    x = np.concatenate(
        [e.E.data[i] for e, i in zip(model.embeddings, row[:-1], strict=True)], axis=1
    )

    def states(cell: Any, xs: np.ndarray) -> list[np.ndarray]:
        h, found = np.zeros(6), []
        for x_t in xs:
            h = np.tanh(x_t @ cell.V.data + h @ cell.W.data + cell.b_h.data)
            found.append(h)
        return found

    h = np.array(states(model.recurrent.cells[0], x))
    if both:
        g = np.array(states(model.recurrent.reverse_cells[0], x[::-1])[::-1])
        h = np.concatenate([h, g], axis=1)
    return h @ model.output.U.data + model.output.b.data


@pytest.mark.parametrize("both", [True, False])
def test_logits_are_those_of_the_equations(both: bool) -> None:
    model = tagger("rnn", both)
    rows = sentences(np.random.default_rng(1), LENGTHS)
    ids, lengths, _ = batch(rows)
    y_hat = model(ids, lengths)
    for b, row in enumerate(rows):
        found = y_hat.data[: LENGTHS[b], b]
        np.testing.assert_allclose(found, by_hand(model, row, both), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_padded_batch_is_its_sentences_one_by_one(cell: str, both: bool) -> None:
    model = tagger(cell, both)
    rows = sentences(np.random.default_rng(1), LENGTHS)
    loss = model.training_step(*batch(rows)).item()
    together = gradients(model)
    total, alone = 0.0, dict.fromkeys(together, 0.0)
    for row, length in zip(rows, LENGTHS, strict=True):
        model.zero_grad()
        share = length / sum(LENGTHS)  # of the mean over all words
        total += share * model.training_step(*batch([row])).item()
        alone = {name: alone[name] + share * g for name, g in gradients(model).items()}
    assert loss == pytest.approx(total, rel=1e-12)
    assert together.keys() == dict(model.named_parameters()).keys()
    for name, g in alone.items():
        np.testing.assert_allclose(together[name], g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_compiled_step_is_the_step_with_dropout_and_at_all_lengths(cell: str) -> None:
    model = tagger(cell, dropout=0.3)
    program = tg.compile(model.training_step)
    rng = np.random.default_rng(2)
    for lengths in (LENGTHS, [7, 7, 2, 2], [1, 26, 7, 5], [2, 1, 1, 2]):
        given = batch(sentences(rng, lengths))
        state = model.dropout.rng.bit_generator.state
        model.zero_grad()
        L, wanted = model.training_step(*given).item(), gradients(model)
        model.dropout.rng.bit_generator.state = state
        model.zero_grad()
        assert program(*given).item() == pytest.approx(L, rel=1e-12)
        for name, g in gradients(model).items():
            np.testing.assert_allclose(g, wanted[name], rtol=1e-11, atol=1e-14)
    assert "for any number of steps" in program.source  # it is neither run nor derived anew


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="'mlp'; it is one of rnn, lstm, gru"):
        Tagger(ROWS, TAGS, "mlp")


# -------------------------------------------------------------------------------------- the lexicon


def test_a_word_is_its_form_its_last_letters_and_its_shape() -> None:
    lexicon = Lexicon.of([sentence("Singing/A singing/B King/A king/B of/C"), sentence("7/D 8/D")])
    assert lexicon.tags.tokens == ["A", "B", "C", "D"]
    assert lexicon.features["suffix"].tokens == ["ing"]  # the others are there once
    assert lexicon.features["shape"].tokens == ["Xxx", "d", "xx"]
    words, suffixes, shapes = lexicon.encode(["Ringing", "singing", "9", "éé"])
    assert words.tolist() == [7, 6, 7, 7]
    assert suffixes.tolist() == [0, 0, 1, 1]
    assert shapes.tolist() == [0, 2, 1, 2]
    assert lexicon.knows("King")
    assert not lexicon.knows("KING")
    only = Lexicon.of([sentence("a/A")], words_only=True)
    assert list(only.features) == ["word"]
    assert [ids.tolist() for ids in only.encode(["a", "b"])] == [[0, 1]]
    assert [ids.size for ids in only.encode([])] == [0]


# ----------------------------------------------------------------------------------------- learning


def made_up(rng: np.random.Generator, count: int) -> list[TaggedSentence]:
    """Sentences of x, y and z: an x is L or R by whether a y or a z comes next; y and z are E."""
    found = []
    for _ in range(count):
        words = "".join(f"x{rng.choice(['y', 'z'])}" for _ in range(rng.integers(1, 5)))
        tags = [
            "E" if w != "x" else "L" if words[i + 1] == "y" else "R" for i, w in enumerate(words)
        ]
        found.append(TaggedSentence(tuple(words), tuple(tags)))
    return found


def learn(task: Tagging, updates: int, path: Path, resume: bool = False) -> list[Row]:
    plan = Plan(updates, 5, lambda n: 0.01, 5.0)
    return train(task, plan, path, resume)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_what_lies_in_the_future_is_learnt_in_both_directions_only(
    cell: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    sentences, held_out = made_up(rng, 60), made_up(rng, 40)
    words = [s.words for s in held_out]
    for bidirectional in (True, False):
        task = Tagging(sentences, held_out, cell, 8, bidirectional, words_only=True)
        learn(task, 60, tmp_path / "a.npz")
        found = tag(task.model.eval(), task.lexicon, words)
        accuracy = scores.score(held_out, found, task.lexicon.knows).accuracy
        if bidirectional:
            assert accuracy == 1
        else:
            assert 0.5 <= accuracy < 0.9  # all of E, and a guess at each x
    # the sentences that were not the longest are tagged as they are alone
    assert found == [tag(task.model, task.lexicon, [w])[0] for w in words]


def test_the_unknown_word_learns_from_words_that_training_has_once() -> None:
    once = [sentence("a/A b/B c/A"), sentence("a/A b/B d/A")]
    twice = [sentence("a/A b/B c/A")] * 2
    for sentences, moves in ((once, True), (twice, False)):
        task = Tagging(sentences, sentences, "rnn", 4)
        unknown = task.lexicon.features["word"].unknown
        batches = task.batches(0)
        touched = set()
        for _ in range(8):
            task.model.zero_grad()
            task.gradient(next(batches))
            g = task.model.embeddings[0].E.grad
            assert g is not None
            touched |= set(np.flatnonzero(np.abs(g.data).sum(axis=1)))
        assert (unknown in touched) == moves
        assert touched - {unknown} == set(range(unknown))  # no word is always unknown


def test_training_that_is_resumed_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sentences, held_out = made_up(rng, 3 * BATCH), made_up(rng, 5)

    def task() -> Tagging:
        return Tagging(sentences, held_out, "gru", 4)

    whole, part = task(), task()
    learn(whole, 20, tmp_path / "whole.npz")
    learn(part, 10, tmp_path / "part.npz")
    part = task()
    log = learn(part, 20, tmp_path / "part.npz", resume=True)
    assert [row.updates for row in log] == [5, 10, 15, 20]
    for name, array in whole.model.state_dict().items():
        assert array.tobytes() == part.model.state_dict()[name].tobytes()


def test_tags_that_training_never_has_count_as_wrong(tmp_path: Path) -> None:
    sentences = [sentence("a/A b/B")] * 4
    held_out = [sentence("a/Z b/Z"), sentence("a/A b/Z")]
    task = Tagging(sentences, held_out, "rnn", 4)
    log = learn(task, 20, tmp_path / "a.npz")
    assert log[-1].held_out_loss == 0.75


def test_no_sentences_and_empty_ones_have_no_tags() -> None:
    task = Tagging([sentence("a/A b/B")], [sentence("a/A")], "rnn", 4)
    model = task.model.eval()
    assert tag(model, task.lexicon, []) == []
    one, none, long = tag(model, task.lexicon, [["a"], [], ["never", "seen"] * 500])
    assert (len(one), none, len(long)) == (1, (), 1000)


# -------------------------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tagging, Path]:
    sentences = text.example_sentences()[:40]
    task = Tagging(sentences[5:], sentences[:5], "gru", 6)
    path = tmp_path_factory.mktemp("saved") / "tagger.npz"
    learn(task, 10, path)
    task.model.eval()
    return task, path


def test_a_tagger_from_a_file_tags_as_the_one_that_was_saved(saved: tuple[Tagging, Path]) -> None:
    task, path = saved
    model, lexicon = load_tagger(path)
    words = [s.words for s in text.example_sentences()] + [("Qwxz",)]
    assert tag(model, lexicon, words) == tag(task.model, task.lexicon, words)
    assert not model.training


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "language model"}, "this is a language model, and no tagger"),
        ({"version": 2}, "version 2 of a tagger's file"),
        ({"tags": None}, "is not whole"),
        ({"features": {}}, "input_size=0"),
        ({"features": {"shape": ["x"]}}, "features or sizes"),
        ({"features": {"word": ["a"]}}, "does not fit"),
        ({"sizes": {"cell": "gru", "hidden": 10**12, "bidirectional": True}}, "features or sizes"),
        ({"sizes": {"cell": "mlp", "hidden": 6, "bidirectional": True}}, "'mlp'"),
        ({"sizes": {"hidden": 6, "layers": 2}}, "layers"),
        ({"sizes": {}}, "'hidden'"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    saved: tuple[Tagging, Path], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    task, _ = saved
    path = tmp_path / "a.npz"
    tg.save(task.model, path, extra={**task.about, **change})
    with pytest.raises(tg.LoadError, match=says) as caught:
        load_tagger(path)
    assert str(path) in str(caught.value)
    tg.save(task.model, path, extra=None)
    with pytest.raises(tg.LoadError, match="this is something else, and no tagger"):
        load_tagger(path)


def test_a_damaged_file_is_refused(saved: tuple[Tagging, Path], tmp_path: Path) -> None:
    content = saved[1].read_bytes()
    path = tmp_path / "a.npz"
    for length in np.linspace(0, len(content) - 1, 20).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(tg.LoadError):
            load_tagger(path)
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(tg.LoadError, match="damaged"):
        load_tagger(path)


def test_the_file_says_what_it_is(saved: tuple[Tagging, Path]) -> None:
    extra = tg.load(saved[1]).extra
    assert (extra["kind"], extra["version"]) == (KIND, VERSION)
    assert json.loads(json.dumps(saved[0].about)) == extra


# ------------------------------------------------------------------------------------------- scores


def test_the_yardstick_is_the_most_frequent_tag_of_each_word() -> None:
    yardstick = scores.MostFrequentTag(
        [sentence("run/V run/N run/V a/D"), sentence("tie/N tie/V walk/V a/D"), sentence("x/N a/D")]
    )
    # V four times, D and N three times: V is the more frequent for "tie", and for what is new
    assert yardstick.tag(["run", "tie", "a", "x", "new"]) == ("V", "V", "D", "N", "V")


def test_scores_are_counted() -> None:
    right = [sentence("a/A b/B c/C"), sentence("b/B d/C")]
    found = [("A", "C", "C"), ("C", "B")]
    s = scores.score(right, found, lambda word: word in "ab")
    assert (s.words, s.right, s.unknown, s.unknown_right) == (5, 2, 2, 1)
    assert (s.accuracy, s.accuracy_unknown) == (0.4, 0.5)
    assert s.confusions == Counter({("A", "A"): 1, ("B", "C"): 2, ("C", "C"): 1, ("C", "B"): 1})
    assert s.most_confused() == [("B", "C", 2), ("C", "B", 1)]
    assert s.most_confused(1) == [("B", "C", 2)]
    assert scores.confusion_table(s)[1:] == [["B", "C", "2", "66.7 %"], ["C", "B", "1", "33.3 %"]]
    known = scores.score(right, found, lambda word: True)
    assert known.accuracy_unknown is None
    assert scores.accuracy_table({"this": s, "that": known}) == [
        ["", "all words (5)", "unknown words (2)"],
        ["this", "40.0 %", "50.0 %"],
        ["that", "40.0 %", "–"],
    ]


def test_the_pictures_show_the_counts_and_the_best_round() -> None:
    pytest.importorskip("matplotlib")
    right, found = [sentence("a/A b/$B c/C")], [("A", "C", "C")]
    figure = plots.confusion_figure(scores.score(right, found, lambda word: True))
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["$B", "A", "C"]
    assert [(t.get_position(), t.get_text()) for t in ax.texts] == [
        ((2, 0), "1"), ((1, 1), "1"), ((2, 2), "1"),
    ]  # fmt: skip
    log = [Row(10, 2.0, 0.5, 0.1, 1.0), Row(20, 1.0, 0.2, 0.1, 2.0), Row(30, 0.5, 0.3, 0.1, 3.0)]
    above, below = plots.progress_figure(log, 10).axes
    assert above.lines[0].get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert below.lines[1].get_xydata().tolist() == [[2, 0.2]]


def test_of_many_tags_the_picture_has_the_most_frequent_ones() -> None:
    pytest.importorskip("matplotlib")
    confusions = Counter({(f"T{n:03}", f"T{n:03}"): n for n in range(1, 501)})
    confusions["T500", "T000"] = 500
    total = sum(confusions.values())
    figure = plots.confusion_figure(scores.Scores(total, total - 500, 0, 0, confusions))
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"T{n:03}" for n in range(501 - plots.MOST_TAGS, 501)
    ]
    assert ax.images[0].get_array()[-1, -1] == 0.5  # of all words with the tag, shown or not
    assert max(figure.get_size_inches()) * figure.dpi < 6000


# ----------------------------------------------------------------------------------- the real thing


@pytest.mark.skipif(not EWT, reason="TINYGRAD_RNN_EWT names no folder with UD English-EWT")
def test_the_yardstick_on_the_english_web_treebank() -> None:
    part = {
        name: text.read_conllu(Path(str(EWT)) / f"{name}.conllu.gz") for name in ("train", "test")
    }
    yardstick = scores.MostFrequentTag(part["train"])
    found = [yardstick.tag(s.words) for s in part["test"]]
    s = scores.score(part["test"], found, yardstick.of_word.__contains__)
    assert s.accuracy == pytest.approx(0.8616, abs=5e-5)
    assert s.unknown == 2292
