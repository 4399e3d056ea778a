"""The demos, in their quick cases: they run, their statements hold, and their files are there."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tinygrad_rnn import text
from tinygrad_rnn.tasks.language_model import read_model

DEMOS = Path(__file__).resolve().parents[1] / "demos"
PLOTS = {
    "01_the_lecture": ["sum_over_time.png", "triangles.png"],
    "02_vanishing_and_exploding": ["curves.png", "terms.png"],
    "03_truncation": ["bias.png", "masks.png"],
    "04_forward_or_backward": ["costs.png"],
    "05_the_derived_program": ["times.png"],
    "06_elmans_letters": ["letters.png"],
    "07_elmans_xor": ["xor.png"],
    "08_temporal_order": ["order.png"],
    "09_the_adding_problem": ["adding.png"],
    "10_min_char_rnn": ["min_char_rnn.png"],
    "11_word_language_model": ["loss.png"],
    "12_part_of_speech_tagging": ["confusions.png"],
}
DRAWINGS = ["folded", "unfolded_2", "unfolded_4"]  # of the first
EXACT = 1e-12


class Ran(NamedTuple):
    """What a demo printed, and its folder."""

    said: str
    out: Path

    def numbers(self, pattern: str) -> list[float]:
        """The numbers in the group of a pattern."""
        return [float(found) for found in re.findall(pattern, self.said, re.MULTILINE)]

    def rows(self, head: str) -> list[list[str]]:
        """The words of the lines of the table below a line that begins so, up to the next text."""
        lines = self.said.splitlines()
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(head))
        below: list[list[str]] = []
        for line in lines[at + 1 :]:
            if not line.startswith("     "):
                break
            below.append(line.split())
        return below


def run(name: str, out: Path, *more: str) -> Ran:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.syspath_prepend(DEMOS)
        patch.setattr(sys, "argv", [name, "--quick", "--out", str(out), *more])
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    return Ran(said.getvalue(), out)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Each demo that a test asks for, once, with whatever is installed."""

    class Once(dict[str, Ran]):
        def __missing__(self, name: str) -> Ran:
            self[name] = run(name, tmp_path_factory.mktemp(name))
            return self[name]

    return Once()


def test_every_demo_is_tested() -> None:
    assert sorted(path.stem for path in DEMOS.glob("[0-9]*.py")) == sorted(PLOTS)


@pytest.mark.parametrize("name", PLOTS)
def test_what_a_demo_says_fits_into_a_terminal(name: str, ran: dict[str, Ran]) -> None:
    lines = [line for line in ran[name].said.splitlines() if not line.startswith("Saved in")]
    assert max(map(len, lines)) <= 100
    assert not re.search(r"\bnan\b|\binf\b", ran[name].said)


@pytest.mark.parametrize("name", PLOTS)
def test_pictures_are_saved_and_named(name: str, ran: dict[str, Ran]) -> None:
    pytest.importorskip("matplotlib")
    said, out = ran[name]
    for picture in PLOTS[name]:
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
        assert picture in said.partition("Saved in")[2]


# ---------------------------------------------------------------------------------- what they found


def test_the_lecture_has_its_thirteen_points_in_order(ran: dict[str, Ran]) -> None:
    demo = ran["01_the_lecture"]
    assert demo.numbers(r"^(\d+)\. ") == list(range(1, 14))
    differences = demo.numbers(r"differ(?:s)?\s+by\s+at\s+most\s+([\d.e+-]+\d)")
    assert len(differences) == 5
    assert max(differences) < EXACT
    shapes = re.findall(r"^ +‖C\[t, k\]‖ for dL_t/d(\w) .*: (.*)$", demo.said, re.MULTILINE)
    assert shapes == [("U", "diagonal"), ("W", "lower triangular"), ("V", "lower triangular")]
    (_, short, places), (_, long, same_places) = demo.rows("steps T")
    assert int(short) < int(long)
    assert places == same_places
    assert re.search(r"unfolded_4\.png.*\bfolded\.png", demo.said)
    right, baseline = demo.numbers(r"(\d+) of 21\b")
    assert right > baseline


def test_linear_networks_vanish_and_explode_as_predicted(ran: dict[str, Ran]) -> None:
    demo = ran["02_vanishing_and_exploding"]
    rows = demo.rows("ρ  predicted")
    linear = [row for row in rows if row[0] == "linear"]
    assert [(float(rho), float(rate)) for _, rho, _, _, rate, *_ in linear] == [
        (rho, rho) for rho in (0.5, 1.0, 1.5)
    ]
    tanh = [row for row in rows if row[0] == "tanh"]
    assert all(row[-3:] == ["0", "of", "136"] for row in tanh)
    assert all(float(row[4]) <= float(row[1]) for row in tanh)
    rates = [float(row[2]) for row in demo.rows("bias of f")]
    assert len(rates) == 4
    assert rates == sorted(rates)


def test_truncated_gradients_are_masked_sums_and_biased(ran: dict[str, Ran]) -> None:
    demo = ran["03_truncation"]
    assert demo.numbers(r"(\d+) of 78") == [30, 38, 42]
    (worst,) = demo.numbers(r"differ\s+by\s+at\s+most\s+([\d.e+-]+\d)")
    assert worst < EXACT
    for when in ("Before training", "After 30 updates"):
        rest = demo.said[demo.said.index(when) :]
        rows = Ran(rest, demo.out).rows("n   chunks")
        off = [[float(cell.rstrip("%")) for cell in (row[1], row[3])] for row in rows]
        assert all(sliding <= chunks for chunks, sliding in off)
        assert off == sorted(off, reverse=True)
        assert off[-1] == [0, 0]


def test_forwards_and_backwards_are_one_gradient_at_other_costs(ran: dict[str, Ran]) -> None:
    demo = ran["04_forward_or_backward"]
    (worst,) = demo.numbers(r"differ\s+by\s+at\s+most\s+([\d.e+-]+\d)")
    assert worst < EXACT
    by_T, by_H = re.findall(r"^ +exponent(.*)$", demo.said, re.MULTILINE)
    bptt, rtrl = map(float, by_T.split()[2:])  # of the memory: times are not for a test
    assert bptt == pytest.approx(1, abs=0.15)
    assert rtrl == pytest.approx(0, abs=0.05)
    bptt, rtrl = map(float, by_H.split()[2:])
    assert bptt < 1.1
    assert rtrl > 2


def test_the_derived_program_stands_beside_its_equations(
    ran: dict[str, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    wide = run("05_the_derived_program", tmp_path)
    (worst,) = wide.numbers(r"differ\s+by\s+at\s+most\s+([\d.e+-]+\d)")
    assert worst < EXACT
    beside = dict(re.findall(r"^   (\S.*?) {2,}(# .*|.*: {2,}.*)$", wide.said, re.MULTILINE))
    assert beside["ŷ_t = h_t U + b_y"].startswith("# y_hat_t = h_t U + b_y")
    assert beside["dL/dW = Σ_t h_{t-1}ᵀ dL/da_t"].startswith("# dW = Σ_t h_{t-1}ᵀ da_t")
    assert max(map(len, wide.said.partition("The same loss")[0].splitlines())) <= 100
    narrow = ran["05_the_derived_program"].said
    for said in (wide.said, narrow):
        for line in runpy.run_path(str(DEMOS / "05_the_derived_program.py"))["EQUATIONS"].values():
            assert all(words in said for words in line)
        assert "range(T, 0, -1)" in said
    assert "\n   ŷ_t = h_t U + b_y\n     # y_hat_t = h_t U + b_y" in narrow
    ((*_, ratio, _),) = wide.rows("B, T, H, K")
    assert float(ratio) > 0  # times are not for a test


# --------------------------------------------------------------------------- results of the field


def inside(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of a demo."""
    monkeypatch.syspath_prepend(DEMOS)
    return runpy.run_path(str(DEMOS / f"{name}.py"))


@pytest.mark.parametrize(
    ("name", "most"),
    [("06_elmans_letters", EXACT), ("07_elmans_xor", EXACT),
     ("08_temporal_order", 1e-5), ("09_the_adding_problem", 1e-5)],
)  # fmt: skip
def test_compiled_training_has_the_same_losses(name: str, most: float, ran: dict[str, Ran]) -> None:
    (worst,) = ran[name].numbers(r"differ\s+by\s+at\s+most\s+([\d.e+-]+\d)")
    assert worst < most  # in float64, and in float32


def test_elmans_letters_know_the_vowels_and_what_consonants_share(
    ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = ran["06_elmans_letters"]
    codes = np.array([list("101001"), list("101101"), list("101011")], int)  # b, d, g
    (best,) = demo.numbers(r"^ +consonants +([\d.]+)")
    assert best == pytest.approx(np.sqrt(codes.var(axis=0).mean()), abs=5e-5)
    consonants, vowels = ([float(row[-1]) for row in demo.rows("best possible")][i] for i in (0, 1))
    assert best - 0.01 < consonants < best + 0.02  # a thousand consonants are not quite even
    assert vowels < 0.06
    by_bit = {row[0]: [float(cell) for cell in row[1:7]] for row in demo.rows("consonant  vowel")}
    for letter in "bdg":
        shared, own = [by_bit[letter][i] for i in (0, 1, 2, 5)], [by_bit[letter][i] for i in (3, 4)]
        assert max(shared) < 0.12 < 0.25 < min(own)
    letters = inside("06_elmans_letters", monkeypatch)
    text = "".join(letters["LETTERS"][i] for i in letters["letters"](99, np.random.default_rng(3)))
    assert re.fullmatch("(ba|dii|guuu){99}", text)


def test_elmans_xor_is_known_at_every_third_bit_alone(
    ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    eight = [row for row in ran["07_elmans_xor"].rows("bits") if row[:2] == ["8", "units,"]]
    for *_, second, xor, first in eight[1:]:
        assert float(xor) < 0.25
        assert min(float(second), float(first)) > 0.45
    assert len(eight) == 3
    bits = inside("07_elmans_xor", monkeypatch)["triples"](500, np.random.default_rng(0))
    a, b, c = bits[:-1].reshape(-1, 3).T
    assert ((a != b) == c).all()
    assert 0.4 < c.mean() < 0.6


def test_temporal_order_is_solved_where_it_is_short(
    ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ran["08_temporal_order"].rows("T ")
    assert [row[:2] for row in rows if row[0] == "10"] == [["10", "clipped"], ["10", "not"]]
    assert all(row[-7:-4] == ["1", "of", "1"] for row in rows if row[0] == "10")
    demo = inside("08_temporal_order", monkeypatch)
    x, y = demo["sequences"](1000, 30, np.random.default_rng(0))
    for column, order in zip(x.T, y, strict=True):
        first, second = np.flatnonzero(column < 2)  # all others mean nothing
        assert 3 <= first < 6
        assert 15 <= second < 18
        assert order == column[first] + 2 * column[second]


def test_the_adding_problem_begins_at_a_sixth_and_gates_solve_it(
    ran: dict[str, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row[0]: row[1:] for row in ran["09_the_adding_problem"].rows("elsewhere")}
    assert float(rows["always"][2]) == pytest.approx(1 / 6, abs=1e-3)
    assert float(rows["GRU"][3]) < 1 / 12
    x, y = inside("09_the_adding_problem", monkeypatch)["sequences"](
        200, 50, np.random.default_rng(0)
    )
    number, mark = x[..., 0], x[..., 1]
    np.testing.assert_allclose((number * mark).sum(axis=0), y[:, 0], atol=1e-6)
    assert (mark[:25].sum(axis=0) == 1).all()
    assert (mark[25:].sum(axis=0) == 1).all()


def test_min_char_rnn_starts_where_it_must_and_learns(ran: dict[str, Ran]) -> None:
    demo = ran["10_min_char_rnn"]
    (K,) = demo.numbers(r", K = (\d+) with")
    recorded, by_hand = (float(x) for x in re.findall(r"most\s+([\d.]+e-\d+)", demo.said))
    assert max(recorded, by_hand) < 1e-10
    start, *_, steady, end = demo.rows("update ")
    assert float(start[1]) == pytest.approx(25 * np.log(K), abs=0.006)
    held_out = {row[0]: float(row[-1]) for row in demo.rows("uniform") if len(row) == 2}
    assert float(end[3]) < float(steady[3]) < held_out["unigram"]
    said = " ".join(demo.said.split())
    assert "above the trigram model" in said  # after 2,000 updates; 100,000 bring it below


def test_min_char_rnn_reads_a_text_that_is_compressed(tmp_path: Path) -> None:
    syllables = np.random.default_rng(0).choice(["ba", "dii", "guuu"], 1500)
    path, words = tmp_path / "syllables.txt.gz", "".join(syllables)[:4000]
    path.write_bytes(gzip.compress(words.encode()))
    said = " ".join(run("10_min_char_rnn", tmp_path / "out", str(path), "--seed=1").said.split())
    assert "3,600 characters to learn from and 400 held out, K = 7 with one for all others" in said
    assert re.search(
        r"the network is \S+ nats per character below the trigram", said
    )  # it can't count u
    with pytest.raises(SystemExit, match="there is no such file"):
        run("10_min_char_rnn", tmp_path / "out", str(tmp_path / "none.gz"))
    with pytest.raises(SystemExit, match="there is no such file"):
        run("10_min_char_rnn", tmp_path / "out", str(tmp_path / "none.txt"))


def test_min_char_rnn_stands_beside_what_is_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    demo = inside("10_min_char_rnn", monkeypatch)
    exact = dict(
        zip(("uniform", "unigram", "bigram", "trigram"), (4.2, 3.3, 2.5, 2.0), strict=True)
    )
    fig = demo["plot"](np.full(6000, 50.0), {0: 4.2, 6000: 2.3}, exact, tiny=True)
    crosses = [line for line in fig.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in crosses] == [[1000, 2000, 5000]] * 3
    assert all(0 < loss < np.log(66) for line in crosses for loss in line.get_ydata())


def test_words_are_learned_measured_and_written(ran: dict[str, Ran]) -> None:
    demo = ran["11_word_language_model"]
    rows = {" ".join(row[:-2]): list(map(float, row[-2:])) for row in demo.rows("model")}
    assert [name.split(",")[0] for name in rows] == [
        "uniform", "unigram", "bigram", "trigram", "5-gram", "this network",
    ]  # fmt: skip
    for loss, perplexity in rows.values():  # printed with three decimals and with one
        assert abs(perplexity - np.exp(loss)) <= 0.051 + 0.00051 * np.exp(loss)
    assert rows["this network"][0] < rows["uniform"][0]
    (ratio,) = demo.numbers(r"perplexity\s+is\s+([\d.]+)\s+times")
    ours, strongest = rows["this network"][0], rows["5-gram, Kneser-Ney"][0]
    assert abs(ratio - np.exp(ours - strongest)) <= 0.0051 + 0.0011 * ratio
    assert demo.said.count("“And the LORD said ") == 3
    model, vocabulary, about = read_model(demo.out / "model.npz")
    assert about["unit"] == "words"
    assert len(model.embedding.E) == len(vocabulary)


def test_each_thing_more_that_a_tagger_sees_makes_it_better(ran: dict[str, Ran]) -> None:
    demo = ran["12_part_of_speech_tagging"]
    rows = [(" ".join(row[:-4]), float(row[-4]), float(row[-2])) for row in demo.rows("all words")]
    assert rows[0] == ("most frequent tag", 74.3, 38.7)  # exact: there is nothing random in it
    accuracy = {name: of_all for name, of_all, _ in rows}
    of_unknown = {name: share for name, _, share in rows}
    assert accuracy["with letters"] > accuracy["from left to right"] > 74.3
    assert accuracy["with letters"] > 74.3 + 5
    assert of_unknown["with letters"] > 38.7 + 15
    confused = demo.rows("tag   given")
    assert len(confused) == 10
    assert "known, of UD" not in demo.said  # those figures are not of these sentences


def test_the_tagging_demo_reads_the_files_of_a_treebank(tmp_path: Path) -> None:
    sentences, files = text.example_sentences(), []
    for part, name in enumerate(("train", "dev", "test")):
        rows = (
            "".join(f"{i}\t{w}\t_\t{t}" + "\t_" * 6 + "\n" for i, (w, t) in enumerate(pairs, 1))
            for pairs in (zip(s.words, s.tags, strict=True) for s in sentences[part * 20 :][:20])
        )
        files.append(tmp_path / f"{name}.conllu")
        files[-1].write_text("\n".join(rows), encoding="utf-8")
    said = run("12_part_of_speech_tagging", tmp_path / "out", *map(str, files)).said
    assert said.count(": 20 sentences, ") == 3
    files[1].write_text("1 a\n")
    with pytest.raises(SystemExit, match=r"dev.conllu, line 1: there are 10 columns"):
        run("12_part_of_speech_tagging", tmp_path / "out", *map(str, files))
    with pytest.raises(SystemExit, match="train, dev and test; not 2"):
        run("12_part_of_speech_tagging", tmp_path / "out", *map(str, files[:2]))


# ------------------------------------------------------------------------------ what may be missing


def headings(said: str) -> list[str]:
    """The lines at the margin, but for their numbers."""
    body = said.partition("\nSaved in")[0].partition("\nNot saved")[0]
    return re.findall(r"^\S.*", re.sub(r"[\d.]+", "#", body), re.MULTILINE)


@pytest.mark.parametrize("name", PLOTS)
def test_without_matplotlib_and_graphviz_the_text_still_appears(
    name: str, ran: dict[str, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setenv("GRAPHVIZ_DOT", "no-such-engine")
    said, out = run(name, tmp_path / "new" / "folder")
    assert headings(said) == headings(ran[name].said)
    assert all(plot in said.partition("Not saved: ")[2] for plot in PLOTS[name])
    assert "matplotlib is not installed (pip install matplotlib)" in said
    assert not list(out.glob("*.png"))
    if name.startswith("01"):
        assert "there is no Graphviz engine (pip install graphviz-pure)" in said
        assert sorted(path.stem for path in out.glob("*.dot")) == DRAWINGS


def test_a_demo_runs_as_a_script_and_says_where_its_files_are(tmp_path: Path) -> None:
    script = DEMOS / "04_forward_or_backward.py"
    command = [sys.executable, str(script), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / script.stem).is_dir()
    assert f"Saved in {script.stem}:" in done.stdout or "Not saved: " in done.stdout
