"""The parts of the study: the network, what it learns and writes, the gradient found twice."""

from itertools import islice, pairwise

import numpy as np
import pytest

from tinygrad_rnn import no_grad, text
from tinygrad_rnn.bptt import by_hand
from tinygrad_rnn.study import network as study


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


def test_the_picture_shows_four_steps_and_each_parameter_once():
    source = study.four_steps(small_network(K=5), corpus_of("abcd" * 300)).picture.source
    assert "h₄" in source
    assert "h₅" not in source
    assert source.count("5×6  ×4") + source.count("5×6 ×4") <= 1


def test_training_carries_the_state_over_and_cuts_its_history(monkeypatch):
    network = study.Network.at_random(5, 3, np.random.default_rng(0))
    given, returned = [], []
    forward = study.Network.forward

    def watched(self, xs, ys, h):
        given.append(h)
        L, h = forward(self, xs, ys, h)
        returned.append(h)
        return L, h

    monkeypatch.setattr(study.Network, "forward", watched)
    monkeypatch.setattr(study, "STREAMS", 2)
    monkeypatch.setattr(study, "STEPS", 4)
    ids = np.arange(25) % 4  # two streams of 12: three chunks a round
    assert len(list(study.train(network, ids, updates=5))) == 5
    pairs = zip(given[1:], returned[:-1], strict=True)
    carried = [np.array_equal(h.data, before.data) for h, before in pairs]
    assert carried == [True, True, False, True]
    assert not given[3].data.any(), "a round begins at h_0 = 0"
    assert all(h.primitive is None for h in given), "no chunk reaches back into the one before"
