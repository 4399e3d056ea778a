"""`tinygrad-rnn tag`: training from end to end, tagging, and what it says when things go wrong."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import cli, text
from tinygrad_rnn.commands import tag as command
from tinygrad_rnn.text import TaggedSentence

from .test_cli import ENVIRONMENT, hear_ctrl_c

QUICK = ["--hidden", "8", "--epochs", "2"]
FILES = ["tagger.checkpoint.npz", "tagger.csv", "tagger.npz"]
PICTURES = ["tagger.confusions.png", "tagger.progress.png"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Path:
    """An empty folder that is the current one; no matplotlib, unless the test asks for it."""
    if "matplotlib" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of sentences that make three batches."""
    path = tmp_path_factory.mktemp("few") / "few.txt"
    path.write_text("\n".join(map(str, text.example_sentences()[:80])), encoding="utf-8")
    return str(path)


@pytest.fixture
def matplotlib() -> Any:
    return pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tagger that has learned a little."""
    out = tmp_path_factory.mktemp("model") / "tagger.npz"
    given = ["--hidden", "16", "--cell", "rnn", "--epochs", "12", "--out", str(out)]
    assert cli.main(["tag", "--train", *given]) == 0
    return str(out)


def one_line(capsys: Any) -> str:
    """What was said on stderr: one line, which is returned."""
    said: str = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("tinygrad-rnn: ")
    return said


def conllu(sentences: list[TaggedSentence]) -> str:
    blocks = [
        "".join(
            f"{i}\t{word}\t_\t{tag}" + "\t_" * 6 + "\n"
            for i, (word, tag) in enumerate(zip(s.words, s.tags, strict=True), 1)
        )
        for s in sentences
    ]
    return "\n".join(blocks) + "\n"


# ---------------------------------------------------------------------------------------- to train


def test_without_a_file_it_trains_on_our_sentences(here: Path, capsys: Any) -> None:
    assert cli.main(["tag", "--train", *QUICK]) == 0
    assert sorted(os.listdir()) == FILES
    said = capsys.readouterr().out
    assert "197 sentences" in said
    assert "held out: 21 sentences, 203 words, every tenth" in " ".join(said.split())
    assert "pip install matplotlib" in said
    (all_,) = re.findall(r"  tagger +([\d.]+) % +[\d.]+ %$", said, re.MULTILINE)
    assert re.search(r"most frequent tag +78\.3 % +40\.9 %", said)
    with open("tagger.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["updates"] for row in rows] == ["7", "14"]
    least = min(float(row["held_out_loss"]) for row in rows)
    assert float(all_) == round(100 * (1 - least), 1)  # measured on what is held out
    assert max(map(len, said.splitlines())) <= 100
    confused = re.findall(r"^  (\w+) +(\w+) +(\d+) +([\d.]+) %$", said, re.MULTILINE)
    assert len(confused) == 10
    errors = round(203 * (1 - float(all_) / 100))
    assert all(float(share) == round(100 * int(n) / errors, 1) for *_, n, share in confused)


def test_pictures_are_saved_with_matplotlib(
    here: Path, few: str, matplotlib: Any, capsys: Any
) -> None:
    assert cli.main(["tag", "--train", few, *QUICK]) == 0
    assert sorted(os.listdir()) == sorted([*FILES, *PICTURES])
    for name in PICTURES:
        assert Path(name).read_bytes().startswith(b"\x89PNG")
    written, following = capsys.readouterr().out.splitlines()[-2:]
    assert written.startswith("Written: tagger.npz, ")
    assert following.startswith("Next:    tinygrad-rnn tag --model tagger.npz ")


def test_files_of_both_kinds_train_the_same_tagger(here: Path, capsys: Any) -> None:
    sentences = text.example_sentences()[:30]
    dev, test = text.example_sentences()[30:34], text.example_sentences()[34:37]
    for name, write in (("conllu", conllu), ("txt", lambda some: "\n".join(map(str, some)))):
        for part, some in (("train", sentences), ("dev", dev), ("test", test)):
            Path(f"{part}.{name}").write_text(write(some), encoding="utf-8")
        given = [x for part in ("train", "dev", "test") for x in (f"--{part}", f"{part}.{name}")]
        more = ["--cell", "gru", "--one-direction", "--words-only", "--seed", "3"]
        assert cli.main(["tag", *given, *more, *QUICK, "--out", f"{name}.npz"]) == 0
        said = capsys.readouterr().out
        assert "GRU, 8 units, one direction; words;" in said
        assert f"4 sentences, {sum(map(len, dev))} words of dev.{name}" in " ".join(said.split())
        assert f"Measured on 3 sentences, {sum(map(len, test))} words of test.{name}" in said
    a, b = tg.load("conllu.npz"), tg.load("txt.npz")
    assert a.extra == b.extra
    assert a.parameters.keys() == b.parameters.keys()
    assert all(
        a.parameters[name].tobytes() == b.parameters[name].tobytes() for name in a.parameters
    )
    assert not any("reverse" in name or name.startswith("embeddings.1") for name in a.parameters)


def test_the_same_seed_gives_the_same_tagger(here: Path, few: str) -> None:
    def trained(*more: str) -> bytes:
        assert cli.main(["tag", "--train", few, *QUICK, *more]) == 0
        return Path("tagger.npz").read_bytes()

    first = trained()
    assert first == trained()
    assert first != trained("--seed", "1")


def test_tags_that_training_never_has_are_named(here: Path, capsys: Any) -> None:
    Path("train.txt").write_text("a/A b/B\nc/B d/A\na/A d/A\n")
    Path("test.txt").write_text("a/Z b/B new/Q\nb/Z\n")
    assert cli.main(["tag", "--train", "train.txt", "--test", "test.txt", *QUICK]) == 0
    said = capsys.readouterr().out
    assert "held out: 1 sentence, 2 words, the last." in " ".join(said.split())
    assert "never has these tags, so that their words count as wrong: Q (1), Z (2)" in said
    assert "unknown words (1)" in said


def test_training_is_interrupted_and_resumed(here: Path, few: str) -> None:
    """Ctrl-C in a process of its own, after the first look at the held-out data."""
    script = [sys.executable, "-m", "tinygrad_rnn", "tag", "--train", few, "--hidden", "4"]
    process = subprocess.Popen(
        [*script, "--epochs", "100000"], env=ENVIRONMENT, cwd=here, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    assert process.stdout is not None
    while not (here / "tagger.npz").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (done,) = re.findall(
        r"^tinygrad-rnn: interrupted; tagger.checkpoint.npz is of update ([\d,]+) of 300,000, from "
        r"where training can be resumed \(the same command with --resume\)$",
        err, re.MULTILINE,
    )  # fmt: skip
    assert "Traceback" not in err
    epochs = int(done.replace(",", "")) // 3 + 2
    given = [few, "--hidden", "4", "--resume", "--epochs", str(epochs)]
    assert cli.main(["tag", "--train", *given]) == 0
    with open("tagger.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["updates"]) for row in rows] == list(range(3, 3 * epochs + 1, 3))


# ------------------------------------------------------------------------------------------ to tag


def test_sentences_are_tagged_as_lines_that_can_be_read_again(
    here: Path, model: str, capsys: Any
) -> None:
    given = ["Don't watch the old clock.", "Where's 1/2 of it?"]
    assert cli.main(["tag", "--model", model, *given]) == 0
    said = capsys.readouterr().out
    Path("said.txt").write_text(said, encoding="utf-8")
    first, second = text.read_tagged("said.txt")
    assert first.words == ("Do", "n't", "watch", "the", "old", "clock", ".")
    assert second.words == tuple(text.tokenize(given[1]))
    assert first.tags[3] == "DET"
    assert first.tags[-1] == "PUNCT"
    assert said.count("\n") == 2
    assert "\x1b" not in said


class Stream(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tags_are_in_colour_in_a_terminal_only(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**environment: str) -> str:
        with monkeypatch.context() as patch:
            for name in ("NO_COLOR", "TERM"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            stream = Stream()
            patch.setattr(sys, "stdout", stream)
            assert cli.main(["tag", "--model", model, "The dog barked."]) == 0
        return stream.getvalue()

    plain = said(NO_COLOR="1")
    assert "\x1b" not in plain
    assert said(TERM="dumb") == plain
    coloured = said()
    assert coloured == said(NO_COLOR="")  # as https://no-color.org has it
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "The/\x1b[35mDET\x1b[0m " in coloured
    assert set(command.COLOUR_OF) == {
        tag for sentence in text.example_sentences() for tag in sentence.tags
    }


@pytest.mark.parametrize("kind", [Stream, io.StringIO])
def test_lines_are_tagged_as_they_come_or_some_at_once(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: Any
) -> None:
    lines = ["The dog barked.", "", "Don't!", "A cat saw it, and ran.", "Why?", "So."]
    assert cli.main(["tag", "--model", model, *filter(None, lines)]) == 0
    wanted = capsys.readouterr().out.splitlines()
    wanted.insert(1, "")
    monkeypatch.setattr(command, "AT_ONCE", 4)
    monkeypatch.setattr(sys, "stdin", kind("\n".join(lines)))
    assert cli.main(["tag", "--model", model]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == wanted
    assert ("Ctrl-D ends" in said.err) == (kind is Stream)


def test_standard_input_may_have_empty_lines_and_what_is_no_text(model: str) -> None:
    given = "The dog barked.\n\nDon't!\nthe \xff cat".encode("latin-1")
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_rnn", "tag", "--model", model],
        input=given, capture_output=True, env={**ENVIRONMENT, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 4  # an empty line stays one
    assert lines[1] == ""
    assert lines[2].startswith("Do/")
    assert "\ufffd/" in lines[3]


def test_a_sentence_may_be_longer_than_any_in_training(model: str, capsys: Any) -> None:
    assert cli.main(["tag", "--model", model, "never seen " * 2000]) == 0
    assert len(capsys.readouterr().out.split()) == 4000


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", None, "a.txt: there is no such file"),
        ("a.txt", "", "a.txt: the file is empty"),
        ("a.txt", "# nothing\n", "a.txt: there is no sentence in it"),
        ("a.txt", "a/A b\n", "a.txt, line 1: expected word/TAG, not 'b'"),
        (
            "a.txt",
            "a/A b/A\nc/A\n",
            "a.txt: every word has the tag A, so there is nothing to learn",
        ),
        ("a.txt", "a/A b/B\n", "a.txt: of one sentence none can be held out; give more, or --dev"),
        ("a.conllu", "1\ta\n", "a.conllu, line 1: there are 10 columns in CoNLL-U, and here 2"),
        ("a.conllu", "x" + "\ta" * 9, "a.conllu, line 1: the id is 'x'; expected 1"),
        ("a.conllu", "1\ta" + "\t_" * 8, "a.conllu, line 1: the word 'a' has no tag (UPOS is _)"),
        ("a.conllu.gz", "1\ta", "a.conllu.gz: this is no gzip file"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(
    here: Path, capsys: Any, name: str, content: str | None, says: str
) -> None:
    if content is not None:
        Path(name).write_text(content)
    assert cli.main(["tag", "--train", name]) == 2
    assert says in one_line(capsys)
    assert os.listdir() == ([name] if content is not None else [])


@pytest.mark.parametrize("option", ["--dev", "--test"])
def test_a_bad_file_is_found_before_training(here: Path, capsys: Any, option: str) -> None:
    Path("a.txt").write_text("a/A b\n")
    assert cli.main(["tag", "--train", option, "a.txt"]) == 2
    assert "a.txt, line 1: expected word/TAG, not 'b'" in one_line(capsys)
    assert os.listdir() == ["a.txt"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "one of the arguments --train --model is required"),
        (["--train", "--model", "a"], "not allowed with"),
        (["--train", "a.txt", "b.txt"], "--train takes one FILE; what is 'b.txt'?"),
        (["--train", "--cell", "mlp"], "invalid choice: 'mlp'"),
        (["--train", "--hidden", "0"], "'0' should be from 1 to 4096"),
        (["--train", "--resume"], "tagger.checkpoint.npz: there is no such checkpoint"),
        (["--train", "--out", "model.txt"], "'model.txt' should end in .npz"),
        (["--train", "--out", "no/folder/a.npz"], "no/folder/a.npz: can't be written"),
        (["--model", "a", "--one-direction"], "--one-direction is for --train"),
        (
            ["--model", "no.npz", "a"],
            "no.npz: can't be read (No such file or directory); give the file of a tagger",
        ),
        (["--model", ".", "a"], ".: can't be read"),
        (["--model", ""], "give the name of a file"),
    ],
)
def test_a_bad_command_is_one_line(here: Path, capsys: Any, given: list[str], says: str) -> None:
    assert cli.main(["tag", *given]) == 2
    assert says in one_line(capsys)
    assert os.listdir() == []


def test_what_is_no_tagger_is_refused(here: Path, capsys: Any, model: str) -> None:
    content = Path(model).read_bytes()
    Path("a.npz").write_bytes(content[:-100])
    assert cli.main(["tag", "--model", "a.npz", "a"]) == 2
    assert "a.npz: " in one_line(capsys)
    checkpoint = Path(model).with_suffix(".checkpoint.npz")
    assert cli.main(["tag", "--model", str(checkpoint), "a"]) == 2
    assert "this is the checkpoint of a training, and no tagger" in one_line(capsys)
    saved = tg.load(model)
    linear = tg.nn.Linear(2, 3)
    for extra, says in (
        ({"kind": "language model"}, "this is a language model, and no tagger"),
        (saved.extra | {"version": 7}, "version 7 of a tagger's file"),
        (saved.extra, "what it says of its tagger is not whole"),
    ):
        tg.save(linear, "a.npz", extra=extra)
        assert cli.main(["tag", "--model", "a.npz", "a"]) == 2
        assert says in one_line(capsys)
    checkpoint = model.replace(".npz", ".checkpoint.npz")
    assert cli.main(["tag", "--model", checkpoint, "a"]) == 2
    assert "this is the checkpoint of a training, and no tagger" in one_line(capsys)


@pytest.mark.parametrize("sentence", ["", " \t"])
def test_an_empty_sentence_is_refused(model: str, capsys: Any, sentence: str) -> None:
    assert cli.main(["tag", "--model", model, "a", sentence]) == 2
    assert "the sentence is empty" in one_line(capsys)
    assert capsys.readouterr().out == ""


def test_training_with_another_seed_is_not_resumed(here: Path, few: str, capsys: Any) -> None:
    assert cli.main(["tag", "--train", few, *QUICK]) == 0
    capsys.readouterr()
    assert cli.main(["tag", "--train", few, *QUICK, "--seed", "1", "--resume"]) == 2
    assert "the checkpoint of another training; not the same: seed" in one_line(capsys)


@pytest.mark.parametrize("option", ["--train", "--dev"])
def test_training_with_other_sentences_is_not_resumed(
    here: Path, few: str, capsys: Any, option: str
) -> None:
    lines = Path(few).read_text(encoding="utf-8").splitlines()
    files = {"--train": few, "--dev": few}
    assert cli.main(["tag", *chain(*files.items()), *QUICK]) == 0
    capsys.readouterr()
    Path("turned.txt").write_text("\n".join(lines[::-1]), encoding="utf-8")
    files[option] = "turned.txt"
    assert cli.main(["tag", *chain(*files.items()), *QUICK, "--resume"]) == 2
    assert "the checkpoint of another training; not the same: sentences" in one_line(capsys)


@pytest.mark.parametrize("option", ["--train", "--dev", "--test"])
def test_sentences_are_not_written_over(here: Path, few: str, capsys: Any, option: str) -> None:
    shutil.copy(few, "tagger.csv")  # as the log would be called
    files = {"--train": few, option: "tagger.csv"}
    assert cli.main(["tag", *chain(*files.items()), *QUICK]) == 2
    assert "tagger.csv: training would write over it; choose another --out" in one_line(capsys)
    assert os.listdir() == ["tagger.csv"]
