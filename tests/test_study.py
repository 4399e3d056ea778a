"""The parts of the study: the network, what it learns and writes, its gradient, what is said."""

import dataclasses
import sys
from itertools import islice, pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import no_grad, text
from tinygrad_rnn.bptt import by_hand
from tinygrad_rnn.study import network as study
from tinygrad_rnn.study import plots, report


def small_network(K=4, H=6, dtype=np.float64, seed=0):
    network = study.Network.at_random(K, H, np.random.default_rng(seed))
    return study.Network(**{name: a.astype(dtype) for name, a in network.arrays().items()})


def corpus_of(words):
    return text.split(words, "this")


def test_the_network_computes_the_lecture_s_equations():
    network = small_network()
    rng = np.random.default_rng(1)
    ids, h = rng.integers(0, 4, (6, 3)), rng.standard_normal((3, 6))
    xs = network.one_hot(ids[:-1])
    L, last = network.forward(xs, ids[1:], h)
    states, _, losses = by_hand.forward(xs.data, ids[1:], h, **network.arrays())
    assert L.item() == pytest.approx(losses.sum(), rel=1e-14)
    np.testing.assert_allclose(last.data, states[-1], rtol=1e-13)


def test_a_state_that_is_carried_over_makes_chunks_equal_to_the_whole():
    network, ids = small_network(), np.random.default_rng(2).integers(0, 4, 121)
    _, xs, ys = next(text.walk(ids, 3, 40))
    whole, h_whole = network.forward(network.one_hot(xs), ys, network.initial_state(3))
    total, h = 0.0, network.initial_state(3)
    for _, x, y in islice(text.walk(ids, 3, 7), 6):
        L, h = network.forward(network.one_hot(x), y, h.detach())
        total += L.item()
    assert total == pytest.approx(whole.item(), rel=1e-13)
    np.testing.assert_allclose(h.data, h_whole.data, rtol=1e-12)


def test_what_is_carried_over_has_no_history():
    network = small_network()
    xs, ys = network.one_hot([[0], [1]]), np.array([[1], [2]])
    L, h = network.forward(xs, ys, network.initial_state(1))
    L.backward()
    again, _ = network.forward(xs, ys, h.detach())
    again.backward()  # through a released graph this would be an error


def test_training_is_reproducible_to_the_bit_and_float32():
    ids = np.random.default_rng(0).integers(0, 4, 2000)
    runs = []
    for _ in range(2):
        network = small_network(dtype=np.float32)
        losses = list(study.train(network, ids, 5))
        runs.append((losses, network.arrays()))
    assert runs[0][0] == runs[1][0]
    for name, a in runs[0][1].items():
        assert a.dtype == np.float32
        assert (a == runs[1][1][name]).all()
    before = small_network(dtype=np.float32).arrays()
    assert all((a != before[name]).any() for name, a in runs[0][1].items())


def test_the_network_learns_what_no_bigram_can_know():
    corpus = corpus_of("abac" * 500)  # after "a", b and c take turns
    network = study.Network.at_random(len(corpus.vocabulary), 16, np.random.default_rng(0))
    losses = list(study.train(network, corpus.train, 60))
    rows = {name: loss for name, _, loss in study.yardsticks(corpus)}
    assert losses[0] > 1
    assert rows["trigram"] < 0.02 < 0.3 < rows["bigram"] < rows["unigram"] < rows["uniform"]
    assert study.held_out_loss(network, corpus) < 0.05


@pytest.mark.parametrize("N", [1000, 10_130, 33_331, 350_001])
def test_every_held_out_character_is_predicted_once(N):
    rng = np.random.default_rng(N)
    corpus = corpus_of("".join(rng.choice(list("abbc"), N)))
    K = len(corpus.vocabulary)
    b_y = rng.standard_normal(K)  # a network that knows no history: the mean is that of a unigram
    network = study.Network(np.zeros((K, 2)), np.zeros((2, 2)), np.zeros((2, K)), np.zeros(2), b_y)
    expected = np.mean(np.log(np.exp(b_y).sum()) - b_y[corpus.held_out])
    assert study.held_out_loss(network, corpus) == pytest.approx(expected, rel=1e-12)


def test_the_held_out_loss_of_one_stream_is_that_of_the_equations(monkeypatch):
    corpus = corpus_of("".join(np.random.default_rng(3).choice(list("abcd"), 1200)))
    network = small_network(K=5)
    ids = np.append(corpus.train[-1:], corpus.held_out)[:, None]
    xs = network.one_hot(ids[:-1]).data
    _, _, losses = by_hand.forward(xs, ids[1:], np.zeros((1, 6)), **network.arrays())
    monkeypatch.setattr(study, "STREAMS", 1)
    assert study.held_out_loss(network, corpus) == pytest.approx(losses.mean(), rel=1e-12)


def test_a_short_text_is_not_read_over_and_over():
    corpus = corpus_of("ab" * 5000)
    rounds = study.enough_updates(corpus, 10**9) * study.STREAMS * study.STEPS / len(corpus.train)
    assert rounds == pytest.approx(study.ROUNDS, rel=0.2)
    assert study.enough_updates(corpus, 7) == 7


def test_writing_on_starts_with_the_prefix_and_is_reproducible():
    vocabulary = text.Vocabulary("abc")
    network = small_network()
    one = study.write_on(network, vocabulary, "ab?", 50, 1.0, seed=1)
    assert one.startswith("ab�")
    assert len(one) == 53
    assert one == study.write_on(network, vocabulary, "ab?", 50, 1.0, seed=1)
    assert one != study.write_on(network, vocabulary, "ab?", 50, 1.0, seed=2)


def test_writing_on_at_temperature_zero_follows_the_likeliest_character():
    vocabulary, network = text.Vocabulary("abc"), small_network()
    written = vocabulary.encode(study.write_on(network, vocabulary, "a", 20, 0, seed=0))
    h = network.initial_state(1)
    with no_grad():
        for c, following in pairwise(written):
            h, y_hat = network.step(network.one_hot([c]), h)
            assert y_hat.data[0].argmax() == following


def test_backward_and_the_derivation_by_hand_agree_on_four_steps_of_the_text():
    corpus = corpus_of("to be or not to be, that is the question\n" * 40)
    network = study.Network.at_random(len(corpus.vocabulary), 8, np.random.default_rng(0))
    for _ in study.train(network, corpus.train, 3):
        pass
    four = study.four_steps(network, corpus)
    assert four.text == corpus.vocabulary.decode(corpus.held_out[:5])
    assert list(four.differences()) == ["U", "W", "V", "b_h", "b_y"]
    assert four.agree()
    for name, a in network.arrays().items():
        g = four.by_backward[name]
        assert g.shape == a.shape
        assert g.dtype == np.float64
        assert np.abs(g).max() > 1e-3  # there is something to agree on
    assert np.abs(four.by_backward["V"]).sum(axis=1).nonzero()[0].tolist() == sorted(
        set(corpus.held_out[:4].tolist())
    )


@pytest.mark.parametrize("spoil", [lambda g: g + 1e-11, lambda g: g * np.nan])
def test_a_wrong_derivation_does_not_agree(monkeypatch, spoil):
    right = by_hand.backward

    def wrong(*arguments, **parameters):
        loss, gradients = right(*arguments, **parameters)
        return loss, gradients | {"V": spoil(gradients["V"])}

    monkeypatch.setattr(by_hand, "backward", wrong)
    corpus = corpus_of("abcd" * 300)
    assert not study.four_steps(small_network(K=5), corpus).agree()


def test_the_pictures_show_four_steps_and_each_parameter_once():
    pictures = study.four_steps(small_network(K=5), corpus_of("abcd" * 300)).pictures
    unrolled, folded = (pictures[name].describe() for name in ("unrolled", "folded"))
    assert "state h₄" in unrolled
    assert "h₅" not in unrolled
    assert "t = 1 … 4" in folded
    assert folded.count("state hₜ") == folded.count("black square") == 1
    for words in (unrolled, folded):
        assert words.count("5×6  ×4") == 1


def test_training_carries_the_state_over_and_cuts_its_history(monkeypatch):
    monkeypatch.setattr(study, "STREAMS", 2)
    monkeypatch.setattr(study, "STEPS", 4)
    ids = np.random.default_rng(2).integers(0, 4, 25)  # two streams of 12: three chunks a round
    network, other = small_network(), small_network()
    losses = list(study.train(network, ids, updates=5))

    carried, expected = None, []
    optimizer = tg.optim.Adam(other.parameters())
    streams = ids[:24].reshape(2, 12).T, ids[1:25].reshape(2, 12).T
    for n in range(5):
        chunk = slice(n % 3 * 4, n % 3 * 4 + 4)
        h = other.initial_state(2) if n % 3 == 0 else carried.detach()
        L, carried = other.forward(other.one_hot(streams[0][chunk]), streams[1][chunk], h)
        optimizer.zero_grad()
        L.backward()
        tg.optim.clip_grad_norm(other.parameters(), study.LARGEST_GRADIENT)
        optimizer.lr = study.LEARNING_RATE * tg.optim.cosine(n, 5)
        optimizer.step()
        expected.append(L.item() / 4)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-10)


def each_of(words="to be or not to be, that is the question\n" * 40, H=6, held_out=None):
    """A network that has learned a little, the text, and what each step contributed."""
    corpus = corpus_of(words)
    if held_out is not None:
        corpus = dataclasses.replace(corpus, held_out=corpus.held_out[:held_out])
    network = study.Network.at_random(len(corpus.vocabulary), H, np.random.default_rng(0))
    for _ in study.train(network, corpus.train, 3):
        pass
    return network, corpus, study.each_step(network, corpus)


def recorded_by_hand(network, corpus, T):
    """x, y, h_0 and the weights, for the derivation by hand."""
    weights = {name: a.astype(np.float64) for name, a in network.arrays().items()}
    h = np.zeros((1, len(network.W)))
    for c in corpus.train[-study.WARM_UP :]:
        h = np.tanh(weights["V"][[c]] + h @ weights["W"] + weights["b_h"])
    ids = corpus.held_out[: T + 1, None]
    return np.eye(len(network.V))[ids[:-1]], ids[1:], h, weights


def test_what_each_step_contributed_is_what_the_derivation_by_hand_says():
    network, corpus, each = each_of()
    T = study.STRETCH
    x, y, h_0, weights = recorded_by_hand(network, corpus, T)
    assert np.abs(h_0).max() > 0.1
    assert each.text == corpus.vocabulary.decode(corpus.held_out[: T + 1])
    h, _, losses = by_hand.forward(x, y, h_0, **weights)
    np.testing.assert_allclose(each.losses, losses, rtol=1e-12)
    C = by_hand.terms(x, y, h_0, **weights)
    assert list(each.terms) == ["U", "W", "V"]
    for name, norms in each.terms.items():
        assert norms.shape == (T, T)
        expected = np.linalg.norm(C[name], axis=(2, 3))
        np.testing.assert_allclose(norms, expected, atol=1e-12 * expected.max())
    columns = C["W"].sum(axis=0)
    np.testing.assert_allclose(each.contributions, np.linalg.norm(columns, axis=(1, 2)), rtol=1e-10)
    assert each.gradient == pytest.approx(np.linalg.norm(columns.sum(axis=0)), rel=1e-10)
    assert each.difference < 1e-12

    P = np.linalg.norm(by_hand.products(by_hand.jacobians(h, weights["W"]))[:, :, 0], 2, (2, 3))
    assert list(each.products) == list(range(1, T + 1))
    for lag, norms in each.products.items():
        np.testing.assert_allclose(norms, np.diagonal(P, -lag), rtol=1e-8)
    t, k = np.tril_indices(T + 1, -1)
    slope, start = np.polyfit(t - k, np.log(P[t, k]), 1)
    assert each.rate == pytest.approx(np.exp(slope), rel=1e-8)
    assert each.start == pytest.approx(np.exp(start), rel=1e-8)
    assert each.bound == pytest.approx(np.linalg.norm(weights["W"], 2), rel=1e-12)
    assert all(
        (norms <= each.bound**lag * (1 + 1e-9)).all() for lag, norms in each.products.items()
    )


def test_only_the_gradient_of_the_output_matrix_needs_no_way_back():
    _, _, each = each_of()
    assert [each.shape(name) for name in ("U", "W", "V")] == ["diagonal", "triangle", "triangle"]
    assert (np.diagonal(each.terms["U"]) > 0).all()
    for name in ("W", "V"):
        assert (each.terms[name][np.tril_indices(study.STRETCH)] > 0).all()
    assert report.about_reach(each) == (
        "Loss t depends on U through its own step alone, and on W and V through its own step and "
        "the steps before it."
    )


@pytest.mark.parametrize("T", [1, 2, 7])
def test_a_held_out_text_shorter_than_the_stretch(T):
    _, _, each = each_of(held_out=T + 1)
    assert each.losses.shape == each.contributions.shape == (T,)
    assert list(each.products) == list(range(1, T + 1))
    assert f"t = {T}" in report.terms_as_text(each, "W")


def test_one_held_out_character_makes_no_step():
    with pytest.raises(ValueError, match="two held-out characters make a step, not 1"):
        each_of(held_out=1)


def test_with_many_units_not_all_pairs_of_states_are_looked_at(monkeypatch):
    network, corpus, each = each_of(H=6)
    monkeypatch.setattr(study, "ALL_PAIRS", 2)
    fewer = study.each_step(network, corpus)
    assert list(fewer.products) == list(range(3, 25, 3))
    for lag, norms in fewer.products.items():
        np.testing.assert_allclose(norms, each.products[lag][::3], rtol=1e-8)
    assert fewer.rate == pytest.approx(each.rate, rel=0.05)
    assert "over 3 steps" in report.about_decay(fewer)
    monkeypatch.setattr(study, "ALL_PAIRS", 0.01)
    assert list(study.each_step(network, corpus).products) == [24]


def test_a_network_without_a_way_back():
    network, corpus, _ = each_of()
    cut = study.Network(**{**network.arrays(), "W": np.zeros_like(network.W.data)})
    each = study.each_step(cut, corpus)
    assert [each.shape(name) for name in ("U", "W", "V")] == ["diagonal"] * 3
    assert each.rate == each.start == each.bound == 0
    assert "typically 0 over one step, 0 over 24" in report.about_decay(each)


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        (" ", "␣"), ("\n", "⏎"), ("\t", "⇥"), ("a", "a"), ("é", "é"), ("中", "中"), ("`", "`"),
        ("\x07", r"\x07"), ("\xa0", r"\xa0"), ("\u0301", r"\u0301"), ("\u2028", r"\u2028"),
        ("\u202e", r"\u202e"), ("\U000e0001", r"\U000e0001"), ("\ufffd", "\ufffd"),
    ],
)  # fmt: skip
def test_every_character_can_be_seen(character, shown):
    assert report.visible(character) == shown


def test_symbols_are_explained_where_they_occur():
    assert report.about_symbols("ab") == ""
    assert report.about_symbols("a b\n") == "␣ is a space, ⏎ is the end of a line"
    assert report.about_symbols("\ufffd") == "\ufffd is any other character"


def test_the_text_stands_above_the_columns_of_a_heat_map_if_they_are_as_wide():
    _, _, each = each_of()
    numbers, characters, first, *_ = report.terms_as_text(each, "W").split("\n")
    read = report.visible(each.text[:-1])
    assert characters.strip() == read
    assert characters.index(read) == numbers.index("k = 1 … 24") == first.index("█")
    x, y = read[0], read[1]
    assert first.endswith(f"{x} → {y}")
    assert first.index(x, 8) == numbers.index("reads → predicts")
    _, _, wide = each_of("春眠不覚暁処処聞啼鳥夜来風雨声花落知多少 " * 60)
    _, first, *_ = report.terms_as_text(wide, "W").split("\n")
    assert first.startswith(" t = 1  ")


def axes_of(each):
    pytest.importorskip("matplotlib")
    return {name: figure.axes for name, figure in plots.all_plots(each)}


def test_the_plots_show_the_findings_and_have_labels():
    _, _, each = each_of("to be or not to be,\tthat is the question\n" * 40)
    axes = axes_of(each)
    assert list(axes) == ["triangles.png", "contributions.png", "decay.png"]
    assert all(ax.get_xlabel() or ax.get_ylabel() for found in axes.values() for ax in found)

    *panels, bar = axes["triangles.png"]
    scales = set()
    for ax, (name, norms) in zip(panels, each.terms.items(), strict=True):
        assert f"dL/d{name}" in ax.get_title()
        (image,) = ax.get_images()
        np.testing.assert_array_equal(image.get_array().mask, norms == 0)
        scales.add(image.get_clim())
        below = [label.get_text() for label in ax.get_xticklabels()]
        assert "".join(below) == report.visible(each.text[:-1])
    assert len(scales) == 1
    beside = [label.get_text() for label in panels[0].get_yticklabels()]
    assert "".join(beside) == report.visible(each.text[1:])
    assert "exactly 0" in bar.get_ylabel()

    heights = [[bar.get_height() for bar in ax.patches] for ax in axes["contributions.png"]]
    np.testing.assert_array_equal(heights, [each.losses, each.contributions])

    (ax,) = axes["decay.png"]
    assert ax.get_yscale() == "log"
    said = [label.get_text() for label in ax.get_legend().get_texts()]
    assert f"{each.rate:.2f}" in said[1]
    assert f"{each.bound:.2f}" in said[2]


@pytest.mark.filterwarnings("error")
def test_characters_that_the_font_does_not_have_are_numbers():
    pytest.importorskip("matplotlib")
    _, _, each = each_of("春眠 $_^\\é\x07\n" * 120)
    for name, figure in plots.all_plots(each):
        figure.canvas.draw()  # a missing glyph would warn here
        if name == "contributions.png":
            labels = {label.get_text() for label in figure.axes[1].get_xticklabels()}
            assert labels == {r"\u6625", r"\u7720", "␣", "$", "_", "^", "\\", "é", r"\x07", "⏎"}


@pytest.mark.filterwarnings("error")
def test_plots_of_one_step_and_of_a_network_without_a_way_back():
    pytest.importorskip("matplotlib")
    network, corpus, each = each_of(held_out=2)
    cut = study.Network(**{**network.arrays(), "W": np.zeros_like(network.W.data)})
    for found in (each, study.each_step(cut, corpus)):
        for _, figure in plots.all_plots(found):
            figure.canvas.draw()


def test_without_matplotlib_there_are_no_plots(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError):
        list(plots.all_plots(each_of(held_out=2)[2]))


def test_a_user_s_own_settings_do_not_change_the_plots():
    matplotlib = pytest.importorskip("matplotlib")
    _, _, each = each_of()
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        for name, figure in plots.all_plots(each):
            assert matplotlib.rcParams["font.size"] == 10
            if name == "decay.png":
                assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
        assert matplotlib.rcParams["font.size"] == 30
