"""The language model and its commands: against the equations, by counting, and typed by hand."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import cli, text
from tinygrad_rnn.saving import LoadError
from tinygrad_rnn.tasks import language_model as lm
from tinygrad_rnn.tasks.training import Plan, checkpoint_path, train

from .test_cli import ENVIRONMENT, hear_ctrl_c

COMMAND = [sys.executable, "-m", "tinygrad_rnn"]
VERSE = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n"
WORDS = VERSE * 20
SMALL = ["--cell", "rnn", "--hidden", "6", "--embedding", "4", "--streams", "4", "--steps", "9"]
SIZES: dict[str, Any] = {"cell": "gru", "hidden": 5, "layers": 1, "embedding": 3}
SHAKESPEARE = os.environ.get("TINYGRAD_RNN_SHAKESPEARE")  # the path of input.txt, plain or .gz


def model_of(cell: str = "gru", layers: int = 1, K: int = 7, dropout: float = 0.0) -> Any:
    sizes = lm.Sizes(cell, 5, layers, 3, dropout)
    return lm.LanguageModel(K, sizes, np.random.default_rng(0))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a text in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("verse.txt").write_text(WORDS, encoding="utf-8")
    return tmp_path


def one_line(capsys: Any) -> str:
    said = str(capsys.readouterr().err)
    assert said.count("\n") == 1, said
    assert said.startswith("tinygrad-rnn: ")
    return said


def weights(path: str | Path) -> dict[str, bytes]:
    return {name: a.tobytes() for name, a in tg.load(path).parameters.items()}


# --------------------------------------------------------------------------------------- the model


def test_the_simple_one_is_the_lecture_s_equations() -> None:
    model = model_of("rnn")
    ids = np.random.default_rng(1).integers(0, 7, (4, 2))
    y_hat, state = model(ids, model.initial_state(2))
    p = {name: a.astype(float) for name, a in model.state_dict().items()}
    h = np.zeros((2, 5))
    for t in range(4):
        x = p["embedding.E"][ids[t]]
        h = np.tanh(x @ p["recurrent.cells.0.V"] + h @ p["recurrent.cells.0.W"]
                    + p["recurrent.cells.0.b_h"])  # fmt: skip
        expected = h @ p["output.U"] + p["output.b"]
        np.testing.assert_allclose(y_hat.data[t], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.data[0], h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", lm.CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_derived_step_is_the_step(cell: str, layers: int) -> None:
    model = model_of(cell, layers)
    rng = np.random.default_rng(0)
    xs, ys = rng.integers(0, 7, (2, 6, 3))
    state = lm._parts(model.initial_state(3))
    program = tg.compile(model.training_step)
    program(xs, ys, *state)
    assert "    for " in program.source
    model.zero_grad()
    for _ in range(2):
        found, *state = program(xs, ys, *state)
    by_program = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    again = lm._parts(model.initial_state(3))
    for _ in range(2):
        expected, *again = model.training_step(xs, ys, *[part.detach() for part in again])
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-6)
    for ours, p in zip(by_program, model.parameters(), strict=True):
        np.testing.assert_allclose(ours, p.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("N", "before"), [(1, 1), (150, 1), (150, 40), (2100, 1), (2100, 200)])
def test_the_loss_is_that_of_reading_the_text_once(N: int, before: int) -> None:
    model = model_of("lstm").eval()
    rng = np.random.default_rng(2)
    ids = rng.integers(0, 7, before + N)
    with tg.no_grad():
        y_hat, _ = model(ids[:-1, None], model.initial_state(1))
    p = tg.softmax(y_hat).data[before - 1 :, 0]
    expected = -np.log(p[np.arange(N), ids[before:]]).mean()
    found = lm.mean_loss(model, ids[:before], ids[before:])
    assert found == pytest.approx(expected, rel=1e-5)  # this model forgets within 64 steps


def test_dropout_is_in_training_only_and_of_all_three_places() -> None:
    model = model_of("gru", 2, dropout=0.5)
    ids = np.ones((3, 1), int)
    state = model.initial_state(1)
    model.train()
    assert len({model(ids, state)[0].data.tobytes() for _ in range(3)}) == 3
    assert model.recurrent.dropout.p == model.dropout.p == 0.5
    model.eval()
    assert len({model(ids, state)[0].data.tobytes() for _ in range(3)}) == 1


# ---------------------------------------------------------------------------------------- training


def reading(cell: str = "lstm", streams: int = 4, steps: int = 9, dropout: float = 0.0) -> Any:
    corpus = lm.corpus_of(WORDS, "verse", "characters")
    model = model_of(cell, K=len(corpus.vocabulary), dropout=dropout)
    optimizer = tg.optim.Adam(model.parameters(), 0.02)
    return lm.Reading(model, optimizer, corpus, streams, steps, "characters", {"kind": "test"})


def test_the_state_is_carried_over_until_the_text_begins_again() -> None:
    task = reading("gru")
    in_a_round = text.chunks(len(task.corpus.train), 4, 9)
    states = []
    for n, batch in zip(range(in_a_round + 1), task.batches(0), strict=False):
        assert batch[0] == (n in (0, in_a_round))
        start = task.model.initial_state(4) if batch[0] else states[-1]
        expected, _ = task.model(batch[1], start)
        loss, count = task.gradient(batch)
        assert loss / count == pytest.approx(tg.cross_entropy(expected, batch[2]).item(), rel=1e-5)
        states.append(task._state[0])
    resumed = reading("gru").batches(in_a_round + 3)
    first, xs, _ = next(resumed)
    assert not first
    assert (xs == next(itertools.islice(task.batches(0), 3, None))[1]).all()


@pytest.mark.parametrize(("cell", "dropout"), [("rnn", 0.3), ("lstm", 0.0), ("gru", 0.3)])
def test_resumed_training_is_bit_equal(tmp_path: Path, cell: str, dropout: float) -> None:
    """Interrupted in the middle of a round, so that the state is part of what is saved."""
    plan = Plan(50, 8, lambda n: 0.02 * tg.optim.cosine(n, 50))
    whole = reading(cell, dropout=dropout)
    train(whole, plan, tmp_path / "a.npz")
    task = reading(cell, dropout=dropout)
    gradient, left = task.gradient, iter(range(43))

    def interrupted(batch: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return gradient(batch)

    task.gradient = interrupted
    with pytest.raises(KeyboardInterrupt, match="of update 40 of 50"):
        train(task, plan, tmp_path / "b.npz")
    train(reading(cell, dropout=dropout), plan, tmp_path / "b.npz", resume=True)
    assert task._step._last.prepare is not None, "a program"
    assert weights(tmp_path / "a.npz") == weights(tmp_path / "b.npz")
    a, b = (tg.load(tmp_path / f"{name}.checkpoint.npz") for name in "ab")
    assert a.extra["carried"] == b.extra["carried"]
    assert weights(tmp_path / "a.checkpoint.npz") == weights(tmp_path / "b.checkpoint.npz")


def test_yardsticks_are_the_best_add_k_and_kneser_ney() -> None:
    corpus = lm.corpus_of(WORDS, "verse", "characters")
    K = len(corpus.vocabulary)
    rows = dict(lm.yardsticks(corpus.train, corpus.held_out, K))
    assert rows["uniform"] == math.log(K)
    k = text.best_k(corpus.train, 3, K)
    assert rows[f"trigram, add {k:g}"] == text.ngram_loss(corpus.train, corpus.held_out, 3, K, k)
    assert list(rows.values()) == sorted(rows.values(), reverse=True)


# --------------------------------------------------------------------------------- what it writes


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_what_is_drawn_is_fed_back_and_the_unknown_is_never_drawn(unit: str) -> None:
    tokens = lm.tokens_of(VERSE, unit)
    vocabulary = text.Vocabulary(tokens)
    model = model_of(K=len(vocabulary)).eval()
    model.output.b.data[vocabulary.unknown] += 100
    pieces = list(itertools.islice(
        lm.write(model, vocabulary, unit, "To ☃ be", np.random.default_rng(0)), 40
    ))  # fmt: skip
    assert "\ufffd" not in "".join(pieces)
    if unit == "characters":
        read = vocabulary.encode("To ☃ be")
        assert vocabulary.unknown in read
        rng = np.random.default_rng(0)
        for piece in pieces:
            logits = model(np.array(read)[:, None], model.initial_state(1))[0].data[-1, 0].copy()
            logits[-1] = -np.inf
            drawn = text.draw_class(logits, 1.0, rng)
            assert vocabulary.tokens[drawn] == piece
            read = np.append(read, drawn)


@pytest.mark.parametrize("prefix", ["", "To", "☃", "\n\n", "\udcff", "\x1b[31m"])
@pytest.mark.parametrize("unit", ["characters", "words"])
def test_any_prefix_can_be_gone_on_from(prefix: str, unit: str) -> None:
    vocabulary = text.Vocabulary(lm.tokens_of(VERSE, unit))
    model = model_of(K=len(vocabulary)).eval()
    pieces = lm.write(model, vocabulary, unit, prefix, np.random.default_rng(0))
    assert len(list(itertools.islice(pieces, 5))) == 5


# ------------------------------------------------------------------------------------ the commands


@pytest.mark.parametrize("unit", [[], ["--words"]])
def test_from_a_text_file_to_a_text_that_is_written(
    here: Path, capsys: Any, unit: list[str]
) -> None:
    Path("verse.txt").write_text(WORDS * 3, encoding="utf-8")
    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "20", *unit]) == 0
    said = capsys.readouterr().out
    names = ["verse.checkpoint.npz", "verse.csv", "verse.npz"]
    assert set(names) <= set(os.listdir())
    (loss,) = re.findall(r"this model +([\d.]+) ", said)
    log = Path("verse.csv").read_text(encoding="utf-8").splitlines()
    held_out = [float(line.split(",")[2]) for line in log[1:]]
    assert float(loss) == pytest.approx(min(held_out), abs=6e-4)
    assert ("perplexity" in said) == bool(unit)
    assert "tinygrad-rnn generate verse.npz" in said

    assert cli.main(["evaluate", "verse.npz", "verse.txt"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"the model +([\d.]+) ", said) == [loss]
    assert "first nine tenths the model has learned from" in said

    def written(*options: str) -> str:
        assert cli.main(["generate", "verse.npz", "--length", "30", *options]) == 0
        return str(capsys.readouterr().out)

    first = written("--prefix", "To be", "--seed", "1", "--top-k", "5", "--top-p", "0.9")
    assert first.startswith("To be")
    assert first == written("--prefix", "To be", "--seed", "1", "--top-k", "5", "--top-p", "0.9")
    assert first != written("--prefix", "To be", "--seed", "2", "--temperature", "1.5")
    assert written("--temperature", "0") == written("--temperature", "0", "--prefix", "")
    if not unit:
        assert len(first) == len("To be") + 30 + 1
    assert "\x1b" not in written("--prefix", "\x1b[31m")


def test_the_same_seed_gives_the_same_model(here: Path) -> None:
    for out, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        given = ["--out", f"{out}.npz", "--seed", seed, "--updates", "6"]
        assert cli.main(["train", "verse.txt", *SMALL, *given]) == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert weights("a.npz") != weights("c.npz")


def test_a_longer_training_goes_on_with_the_settings_of_the_checkpoint(
    here: Path, capsys: Any
) -> None:
    assert cli.main(["train", "verse.txt", *SMALL, "--cell", "lstm", "--updates", "5"]) == 0
    assert cli.main(["train", "verse.txt", "--resume", "--updates", "9", "--cell", "lstm"]) == 0
    rows = Path("verse.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [*range(1, 6), *range(6, 10)]
    capsys.readouterr()
    assert cli.main(["train", "verse.txt", "--resume", "--cell", "gru"]) == 2
    assert "begun with cell = lstm; it can't be resumed with gru" in one_line(capsys)
    Path("other.txt").write_text(WORDS + "!", encoding="utf-8")
    assert cli.main(["train", "other.txt", "--resume", "--out", "verse.npz"]) == 2
    assert "begun with another text" in one_line(capsys)


def test_several_files_plain_or_gz_are_one_text(here: Path, capsys: Any) -> None:
    Path("a.txt.gz").write_bytes(gzip.compress(WORDS.encode()))
    assert cli.main(["train", "a.txt.gz", "verse.txt", *SMALL, "--updates", "2"]) == 0
    assert f"a.txt.gz and 1 more, {2 * len(WORDS) + 1:,} characters" in capsys.readouterr().out
    assert Path("a.npz").exists()


@pytest.mark.parametrize("optimizer", lm.OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(here: Path, optimizer: str) -> None:
    given = ["--optimizer", optimizer, "--updates", "30"]
    assert cli.main(["train", "verse.txt", *SMALL, *given]) == 0
    rows = Path("verse.csv").read_text(encoding="utf-8").splitlines()[1:]
    losses = [float(row.split(",")[2]) for row in rows]
    assert losses[-1] < losses[0]


def test_without_matplotlib_the_rest_is_there(
    here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "2"]) == 0
    assert "pip install matplotlib" in capsys.readouterr().out
    assert not Path("verse.png").exists()


def test_the_picture_is_there_if_matplotlib_is(here: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "2"]) == 0
    assert Path("verse.png").read_bytes().startswith(b"\x89PNG")


def test_it_says_that_it_ended_early(here: Path, capsys: Any) -> None:
    given = ["--updates", "400", "--lr", "0.05", "--patience", "1"]
    Path("noise.txt").write_text(
        "".join(np.random.default_rng(0).choice(list("abcdefgh"), 1200)), encoding="utf-8"
    )
    assert cli.main(["train", "noise.txt", *SMALL, *given]) == 0
    assert re.search(r"It ended after \d+ updates", capsys.readouterr().out)


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"to be or not to be", "18 characters are too few"),
        (b"a" * 5000, "'a' over and over"),
        (b"\x89PNG\r\n\0" * 300, "no text: byte"),
        (b"caf\xe9 " * 400, "not UTF-8: byte 0xe9 at 3"),
        (None, "no such file"),
    ],
)
def test_a_bad_text_is_one_line_and_no_file(
    here: Path, capsys: Any, content: Any, says: str
) -> None:
    if content is not None:
        Path("bad.txt").write_bytes(content)
    before = os.listdir()
    assert cli.main(["train", "bad.txt"]) == 2
    assert says in one_line(capsys)
    assert os.listdir() == before


def test_gzip_folders_words_and_streams_that_are_none(here: Path, capsys: Any) -> None:
    packed = gzip.compress(os.urandom(2000))
    for content in (packed[:500], b"no gzip", packed[:-8] + b"\0" * 8):
        Path("a.gz").write_bytes(content)
        assert cli.main(["train", "a.gz"]) == 2
        assert "no gzip file, or it is damaged" in one_line(capsys)
    assert cli.main(["train", str(here)]) == 2
    assert "this is a folder" in one_line(capsys)
    assert cli.main(["train", "verse.txt", "--words"]) == 2
    assert "words are too few" in one_line(capsys)
    assert cli.main(["train", "verse.txt", "--streams", "4000"]) == 2
    assert "too short to be read as 4000 streams" in one_line(capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        ["train", "verse.txt", "--cell", "transformer"],
        ["train", "verse.txt", "--hidden", "0"],
        ["train", "verse.txt", "--dropout", "1"],
        ["train", "verse.txt", "--dropout", "nan"],
        ["train", "verse.txt", "--lr", "0"],
        ["train", "verse.txt", "--lr", "inf"],
        ["train", "verse.txt", "--out", "model"],
        ["train", "verse.txt", "--out", ""],
        ["train", "verse.txt", "--updates", "0"],
        ["generate"],
        ["generate", "a.npz", "--temperature", "-1"],
        ["generate", "a.npz", "--top-k", "0"],
        ["generate", "a.npz", "--top-p", "0"],
        ["generate", "a.npz", "--top-p", "1.1"],
        ["generate", "a.npz", "--length", "0"],
        ["generate", "a.npz", "--length", "1" + "0" * 19],
        ["evaluate", "a.npz"],
    ],
)
def test_bad_options_are_one_line(here: Path, capsys: Any, words: list[str]) -> None:
    assert cli.main(words) == 2
    assert "--help" in one_line(capsys)
    assert os.listdir() == ["verse.txt"]


@pytest.mark.parametrize("command", ["train", "generate", "evaluate"])
def test_help_fits_into_a_terminal(capsys: Any, command: str) -> None:
    assert cli.main([command, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_place_that_can_t_be_written(here: Path, capsys: Any) -> None:
    assert cli.main(["train", "verse.txt", *SMALL, "--out", "no/a.npz"]) == 2
    assert "no/a.npz: can't be written (No such file or directory)" in capsys.readouterr().err
    assert cli.main(["train", "verse.txt", "--resume"]) == 2
    assert "there is no such checkpoint" in one_line(capsys)


def test_a_text_is_not_written_over(here: Path, capsys: Any) -> None:
    os.link("verse.txt", "verse.csv")  # as the log would be called
    assert cli.main(["train", "verse.txt", *SMALL]) == 2
    assert "verse.txt: training would write over it; choose another --out" in one_line(capsys)
    assert Path("verse.csv").read_text(encoding="utf-8") == WORDS
    assert sorted(os.listdir()) == ["verse.csv", "verse.txt"]


def test_a_learning_rate_that_is_too_high_is_one_line(here: Path) -> None:
    words = [*COMMAND, "train", "verse.txt", *SMALL, "--updates", "9", "--lr", "1e30"]
    done = subprocess.run(words, capture_output=True, env=ENVIRONMENT, text=True)
    assert done.returncode == 2
    *progress, last = done.stderr.splitlines()
    assert "choose a smaller learning rate" in last
    assert all(line.startswith("training ") for line in progress)


def saved_as(path: str, change: dict[str, Any]) -> None:
    """A language model's file that says something else about itself."""
    vocabulary, sizes = text.Vocabulary("abc"), lm.Sizes(**SIZES)
    facts = lm.about(vocabulary, sizes, "characters", {}) | change
    tg.save(lm.LanguageModel(len(vocabulary), sizes), path, extra=facts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "tagger"}, "this is a tagger, and no language model"),
        ({"kind": 7}, "this is something else"),
        ({"version": 2}, "version 2 of a language model's file"),
        ({"vocabulary": ["b", "a"]}, "its vocabulary is none"),
        ({"vocabulary": 7}, "can be made"),
        ({"vocabulary": list("abcd")}, "embedding.E"),
        ({"vocabulary": [1, 2, 3]}, "its vocabulary is none"),
        ({"sizes": {**SIZES, "cell": "lstm"}}, "recurrent.cells.0"),
        ({"sizes": {**SIZES, "cell": "transformer"}}, "it is one of rnn, lstm, gru"),
        ({"sizes": {**SIZES, "hidden": "many"}}, "hidden = 'many', and its arrays have 5"),
        ({"sizes": {**SIZES, "hidden": 10**12}}, "hidden = 1000000000000, and its arrays have 5"),
        ({"sizes": {**SIZES, "layers": 10**9}}, "layers = 1000000000, and its arrays have 1"),
        ({"sizes": {**SIZES, "embedding": 4}}, "embedding = 4, and its arrays have 3"),
        ({"sizes": {**SIZES, "width": 3}}, "can be made"),
        ({"sizes": {**SIZES, "dropout": 2.0}}, "a probability of being dropped"),
        ({"unit": "letters"}, "its vocabulary is none"),
        ({"training": None}, "how it was trained"),
    ],
)
def test_a_file_of_something_else_is_refused(
    here: Path, capsys: Any, change: dict[str, Any], says: str
) -> None:
    saved_as("a.npz", change)
    with pytest.raises(LoadError, match=re.escape(says)):
        lm.read_model("a.npz")
    for command in (["generate", "a.npz"], ["evaluate", "a.npz", "verse.txt"]):
        assert cli.main(command) == 2
        assert says in one_line(capsys)


def test_a_damaged_file_a_folder_and_no_file_are_one_line(here: Path, capsys: Any) -> None:
    saved_as("a.npz", {})
    whole = Path("a.npz").read_bytes()
    assert cli.main(["generate", "a.npz", "--length", "3"]) == 0
    capsys.readouterr()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:100], whole[:-100], bytes(flipped), b"", b"text"):
        Path("a.npz").write_bytes(content)
        assert cli.main(["generate", "a.npz"]) == 2
        assert one_line(capsys).startswith("tinygrad-rnn: a.npz: ")
    for path in ("no.npz", str(here), "", "\0"):
        assert cli.main(["evaluate", path, "verse.txt"]) == 2
        one_line(capsys)
    tg.save(tg.nn.Linear(2, 2), "b.npz")
    assert cli.main(["generate", "b.npz"]) == 2
    assert "this is something else, and no language model" in one_line(capsys)


def test_a_checkpoint_is_no_model_and_that_of_something_else_is_not_resumed(
    here: Path, capsys: Any
) -> None:
    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "2"]) == 0
    capsys.readouterr()
    assert cli.main(["generate", "verse.checkpoint.npz"]) == 2
    assert "this is the checkpoint of a training" in one_line(capsys)
    extra = {"about": {"kind": "tagger"}, "log": [], "carried": None, "planned": 9}
    tg.save(tg.nn.Linear(2, 2), checkpoint_path(Path("verse.npz")), extra=extra)
    assert cli.main(["train", "verse.txt", "--resume"]) == 2
    assert "not the checkpoint of a language model's training" in one_line(capsys)


def test_a_text_of_unknown_or_few_tokens_is_evaluated_all_the_same(here: Path, capsys: Any) -> None:
    saved_as("a.npz", {})
    Path("snow.txt").write_text("☃ " * 600, encoding="utf-8")
    assert cli.main(["evaluate", "a.npz", "snow.txt"]) == 0
    said = capsys.readouterr().out
    assert "of which the model does not know 1,200" in said
    assert "inf" not in said
    assert "nan" not in said
    Path("b.txt").write_text("ab", encoding="utf-8")
    assert cli.main(["evaluate", "a.npz", "b.txt"]) == 0
    assert "2 characters are too few" in capsys.readouterr().out
    Path("b.txt").write_text("a", encoding="utf-8")
    assert cli.main(["evaluate", "a.npz", "b.txt"]) == 2
    assert "two characters or more" in one_line(capsys)


# ----------------------------------------------------------------------- interrupted, full, unheard


@pytest.mark.skipif(os.name != "posix", reason="a signal as a terminal sends it")
def test_a_real_ctrl_c_leaves_a_checkpoint_from_which_it_goes_on(here: Path) -> None:
    given = ["--streams", "2", "--updates", "20000", "--patience", "99"]
    process = subprocess.Popen(
        [*COMMAND, "train", "verse.txt", *SMALL, *given], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, encoding="utf-8",
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert first.startswith("training  10%")
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert re.search(r"interrupted; verse\.checkpoint\.npz is of update [\d,]+000 of 20,000", rest)
    assert "--resume" in rest
    log = tg.load("verse.checkpoint.npz").extra["log"]
    at = log[-1][0]
    assert 2000 <= at < 20_000
    lm.read_model("verse.npz")
    assert cli.main(["train", "verse.txt", "--resume", "--updates", f"{at + 3}"]) == 0
    rows = Path("verse.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [*(row[0] for row in log), at + 3]


def test_the_checkpoint_knows_how_many_updates_were_planned(here: Path, capsys: Any) -> None:
    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "7"]) == 0
    capsys.readouterr()
    assert cli.main(["train", "verse.txt", "--resume"]) == 0
    assert "Training: 7 updates of 4 × 9 characters" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the size of files")
def test_a_file_that_finds_no_room_is_one_line_and_the_older_one_stays(here: Path) -> None:
    import resource

    assert cli.main(["train", "verse.txt", *SMALL, "--updates", "20"]) == 0
    before = {name: Path(name).read_bytes() for name in ("verse.checkpoint.npz", "verse.npz")}
    size = len(before["verse.npz"])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    done = subprocess.run(
        [*COMMAND, "train", "verse.txt", "--resume", "--updates", "40"], capture_output=True,
        text=True, env=ENVIRONMENT, preexec_fn=limited, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 2
    assert "verse.npz: can't be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert before == {name: Path(name).read_bytes() for name in before}
    assert not list(Path().glob(".*"))


@pytest.mark.skipif(os.name != "posix", reason="a pipe as a shell makes it")
def test_a_reader_that_leaves_ends_the_writing(here: Path) -> None:
    saved_as("a.npz", {})
    command = [*COMMAND, "generate", "a.npz", "--length", "1000000000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(1)) == 1  # as it writes, not at its end
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full, as a device")
def test_a_full_disk_for_the_text_is_one_line(here: Path) -> None:
    saved_as("a.npz", {})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "generate", "a.npz"], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT
        )
    assert done.returncode == 1
    assert done.stderr == b"tinygrad-rnn: the output can't be written (No space left on device)\n"


@pytest.mark.skipif(os.name != "posix", reason="streams as a shell closes them")
@pytest.mark.parametrize(
    ("model", "closed", "status"), [("a.npz", "1", 0), ("a.npz", "2", 0), ("no.npz", "2", 2)]
)
def test_a_stream_that_was_closed_takes_nothing(
    here: Path, model: str, closed: str, status: int
) -> None:
    saved_as("a.npz", {})
    words = f'"$@" {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", words, "sh", *COMMAND, "generate", model, "--length", "5"],
        capture_output=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == status
    assert done.stderr == b""
    assert bool(done.stdout) == (closed == "2" and status == 0)


# --------------------------------------------------------------------------------------- real text


@pytest.mark.skipif(
    SHAKESPEARE is None, reason="TINYGRAD_RNN_SHAKESPEARE is not set to a file's path"
)
def test_a_short_training_is_below_the_exact_trigram_on_shakespeare(
    here: Path, capsys: Any
) -> None:
    assert SHAKESPEARE is not None
    given = ["--out", "a.npz", "--updates", "400", "--hidden", "128"]
    assert cli.main(["train", SHAKESPEARE, *given]) == 0
    said = capsys.readouterr().out
    (trigram,) = re.findall(r"trigram, add \S+ +([\d.]+) ", said)
    (ours,) = re.findall(r"this model +([\d.]+) ", said)
    assert float(ours) < float(trigram)
