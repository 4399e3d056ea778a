"""The command line: the job from end to end, what it leaves, what it says when things go wrong."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn
from tinygrad_rnn import cli
from tinygrad_rnn.draw import Picture
from tinygrad_rnn.progress import Progress
from tinygrad_rnn.study import job, plots, report
from tinygrad_rnn.study import network as study

PLOTS = ["contributions.png", "decay.png", "triangles.png"]
WORDS = "to be or not to be, that is the question\n\twhether `tis *nobler* in the mind | \n" * 40
QUICK = ["--updates", "4", "--hidden", "8"]
FILES = ["folded.png", "network.npz", "report.md", "unrolled.png"]
ALL_FILES = sorted([*PLOTS, *FILES])
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tinygrad_rnn.__file__).parents[1])}


@pytest.fixture
def book(tmp_path, monkeypatch, request):
    """A small text, in an empty folder that is the current one.

    There is no matplotlib, unless the test asks for it.
    """
    if "matplotlib" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = tmp_path / "book.txt"
    path.write_text(WORDS, encoding="utf-8")
    return str(path)


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def one_line(capsys):
    """What was said on stderr: one line, which is returned."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("tinygrad-rnn: ")
    return said


# ----------------------------------------------------------------------------------- the job


def test_the_job_leaves_a_report_pictures_and_the_weights(book, capsys):
    assert cli.main(["study", book, "--prefix", "to be", "--out", "a/b c", *QUICK]) == 0
    out = Path("a/b c")
    assert sorted(os.listdir(out)) == FILES
    for picture in ("unrolled.png", "folded.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    weights = np.load(out / "network.npz", allow_pickle=False)
    assert sorted(weights.files) == ["U", "V", "W", "b_h", "b_y", "characters"]
    characters = str(weights["characters"])
    assert characters == "".join(sorted(set(WORDS)))
    assert weights["V"].shape == (len(characters) + 1, 8)

    words = (out / "report.md").read_text(encoding="utf-8")
    assert words.count("](unrolled.png)") == words.count("](folded.png)") == 1
    said = capsys.readouterr().out
    for row in ("uniform", "unigram", "bigram", "trigram", "network"):
        (loss,) = re.findall(rf"^\| {row} \|.* ([\d.]+) \| [\d.]+ \|$", words, re.MULTILINE)
        assert re.search(rf"^  {row} .* {loss} ", said, re.MULTILINE)
    for name in ("U", "W", "V", "b_h", "b_y"):
        (difference,) = re.findall(rf"^\| dL/d{name} \|.* (\S+) \|$", words, re.MULTILINE)
        assert float(difference) < 1e-12
    assert "they are equal up to rounding" in words
    assert "they are equal up to rounding" in said
    assert "    to be" in words


def test_the_same_seed_gives_the_same_files(book, matplotlib, capsys):
    def files(*more):
        assert cli.main(["study", book, *QUICK, *more]) == 0
        return {path.name: path.read_bytes() for path in Path("study").iterdir()}

    first = files()
    assert first == files()
    other = files("--seed", "1")
    assert first["network.npz"] != other["network.npz"]
    assert first["report.md"] != other["report.md"]


def test_the_command_in_the_report_is_the_one_that_was_given():
    options = job.Options("a b.txt", Path("x y"), None, 9, 0, "it's", 0.0)
    assert options.command() == (
        "tinygrad-rnn study '--out=x y' --hidden=9 '--prefix=it'\"'\"'s' "
        "--temperature=0.0 'a b.txt'"
    )
    assert job.Options().command() == "tinygrad-rnn study"
    assert job.Options(prefix="it's\na b").command() == (
        r"tinygrad-rnn study $'--prefix=it\x27s\x0aa b'"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no text")
def test_words_that_are_no_text_end_in_a_report_all_the_same(book):
    odd = Path(os.fsdecode(b"\xff.txt"))
    odd.write_text(WORDS, encoding="utf-8")
    given = [str(odd), "--prefix", os.fsdecode(b"to\xfe"), "--out", os.fsdecode(b"\xfd")]
    assert cli.main(["study", *given, *QUICK]) == 0
    words = Path(given[-1], "report.md").read_text(encoding="utf-8")
    assert r"$'--out=\xfd' --updates=4 --hidden=8 $'--prefix=to\xfe' $'\xff.txt'" in words


def test_by_default_the_network_goes_on_from_the_first_line(book, capsys):
    assert cli.main(["study", book, *QUICK]) == 0
    assert "\n    to be or not to be, that is the question" in capsys.readouterr().out


def test_without_a_graphviz_engine_the_rest_is_there_and_the_remedy(book, capsys, monkeypatch):
    Path("study").mkdir()
    Path("study/unrolled.png").write_bytes(b"mine")
    monkeypatch.setenv("GRAPHVIZ_DOT", "/no/such/program")
    assert cli.main(["study", book, *QUICK]) == 0
    assert sorted(os.listdir("study")) == [
        "folded.dot", "network.npz", "report.md", "unrolled.dot", "unrolled.png",
    ]  # fmt: skip
    assert Path("study/unrolled.png").read_bytes() == b"mine"
    words = Path("study/report.md").read_text(encoding="utf-8")
    assert "![" not in words
    assert "pip install graphviz-pure" in words
    assert "pip install graphviz-pure" in " ".join(capsys.readouterr().out.split())
    for name in ("unrolled.dot", "folded.dot"):
        assert "digraph" in Path("study", name).read_text(encoding="utf-8")
        assert f"]({name})" in words


def test_if_one_picture_fails_the_report_has_the_text_of_both(book, monkeypatch):
    save = Picture.save

    def failing(picture, path, dpi=150):
        if Path(path).name == "folded.png":
            raise RuntimeError("the engine failed")
        return save(picture, path, dpi)

    monkeypatch.setattr(Picture, "save", failing)
    assert cli.main(["study", book, *QUICK]) == 0
    assert sorted(os.listdir("study")) == [
        "folded.dot", "network.npz", "report.md", "unrolled.dot",
    ]  # fmt: skip
    words = Path("study/report.md").read_text(encoding="utf-8")
    assert "the engine failed" in words
    assert "![" not in words


def test_what_each_step_contributed_is_in_the_report_with_pictures(book, matplotlib, capsys):
    assert cli.main(["study", book, *QUICK]) == 0
    assert sorted(os.listdir("study")) == ALL_FILES
    words = Path("study/report.md").read_text(encoding="utf-8")
    section = words.split("## What each step contributed")[1].split("\n## ")[0]
    for name in PLOTS:
        assert Path("study", name).read_bytes().startswith(b"\x89PNG")
        assert section.count(f"]({name})") == 1
    assert "matplotlib" not in words
    assert "t = 1" not in words
    said = capsys.readouterr().out
    assert "matplotlib" not in said
    assert said.count(" t = 1  ") == 1, "one heat map"
    assert all(name in said.split("Written: ")[1] for name in ALL_FILES)
    assert max(map(len, said.splitlines())) <= 80


def test_what_each_step_contributed_is_in_the_report_as_text_without_matplotlib(book, capsys):
    assert cli.main(["study", book, *QUICK]) == 0
    assert sorted(os.listdir("study")) == FILES
    words = Path("study/report.md").read_text(encoding="utf-8")
    section = words.split("## What each step contributed")[1].split("\n## ")[0]
    assert section.count("pip install matplotlib") == 1
    assert "![" not in section
    assert section.count("\n     t = 1  ") == 3, "U, W and V"
    assert "contribution\n" in section
    assert re.search(r"typical +largest\n", section)
    assert "pip install matplotlib" in " ".join(capsys.readouterr().out.split())


def test_a_full_disk_for_plots_leaves_nothing(book, matplotlib, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert cli.main(["study", book, "--out", "x/y", *QUICK]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir() == []


@pytest.mark.parametrize("name", PLOTS)
def test_a_folder_in_the_way_of_a_plot_is_found_before_training(book, capsys, name):
    Path("study", name).mkdir(parents=True)
    assert cli.main(["study", book, "--updates", "1000000"]) == 2
    assert "a folder is in the way" in one_line(capsys)
    assert os.listdir("study") == [name]


def test_gradients_that_differ_are_said_loudly(book, capsys, monkeypatch):
    monkeypatch.setattr(study, "EXACT", 0.0)
    assert cli.main(["study", book, *QUICK]) == 1
    said = capsys.readouterr()
    assert "THEY DIFFER" in said.out
    assert "THEY DIFFER" in said.err
    assert "THEY DIFFER" in Path("study/report.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"short", "too few"),
        (b"text\0" * 400, "byte 4 is zero"),
        (b"caf\xe9 " * 400, "not UTF-8: byte 0xe9 at 3"),
        (b"a" * 2000, "over and over"),
    ],
)
def test_a_bad_text_is_one_line_and_leaves_nothing(book, capsys, content, says):
    path = Path(book).with_name("bad.txt")
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["study", str(path)]) == 2
    assert says in one_line(capsys)
    assert os.listdir() == []


def test_nothing_and_a_device_are_no_texts(book, capsys):
    assert cli.main(["study", ""]) == 2
    assert "'': there is no such file" in one_line(capsys)
    if os.path.exists("/dev/zero"):
        assert cli.main(["study", "/dev/zero"]) == 2
        assert "not a text file" in one_line(capsys)


def test_a_folder_is_no_text(book, capsys):
    assert cli.main(["study", str(Path(book).parent)]) == 2
    assert "this is a folder" in one_line(capsys)


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_a_file_in_the_way_of_the_output_folder(book, capsys, out):
    Path("file").write_text("mine", encoding="utf-8")
    assert cli.main(["study", book, "--out", out]) == 2
    assert "a file is in the way" in one_line(capsys)
    assert os.listdir() == ["file"]


def test_a_folder_in_the_way_of_the_report_is_found_before_training(book, capsys):
    Path("study/report.md").mkdir(parents=True)
    assert cli.main(["study", book, "--updates", "1000000"]) == 2
    assert "a folder is in the way" in one_line(capsys)
    assert os.listdir("study") == ["report.md"]


def test_a_name_too_long_for_a_folder(book, capsys):
    assert cli.main(["study", book, "--out", "x" * 300]) == 2
    assert "choose another folder with --out" in one_line(capsys)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_without_permission(book, capsys):
    Path("locked").mkdir(mode=0o500)
    assert cli.main(["study", book, "--out", "locked/study"]) == 2
    assert "can't be written" in one_line(capsys)


def test_a_full_disk_leaves_nothing_half_written(book, capsys, monkeypatch):
    def full(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert cli.main(["study", book, "--out", "x/y", *QUICK]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir() == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["study", "a", "b"],
        ["study", "--speed", "9"],
        ["study", "--updates", "0"],
        ["study", "--updates", "many"],
        ["study", "--hidden", "5000"],
        ["study", "--updates", "1000000001"],
        ["study", "--seed", "-1"],
        ["study", "--seed", " 1_0"],
        ["study", "--out", ""],
        ["study", "--temperature", "nan"],
        ["study", "--temperature", "-0.1"],
        ["study", "--prefix", ""],
    ],
)
def test_bad_options_are_one_line(capsys, words):
    assert cli.main(words) == 2
    assert "--help" in one_line(capsys)


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    assert "study" in capsys.readouterr().out
    assert cli.main(["study", "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tinygrad-rnn {tinygrad_rnn.__version__}\n"


# --------------------------------------------------------------------------- interrupted, unheard


def test_ctrl_c_before_training_leaves_nothing(book, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(study.Network, "at_random", interrupt)
    assert cli.main(["study", book]) == 130
    assert one_line(capsys) == "tinygrad-rnn: interrupted\n"
    assert os.listdir() == []


@pytest.mark.skipif(os.name != "posix", reason="a signal as a terminal sends it")
def test_ctrl_c_while_files_are_moved_leaves_all_of_them(book, matplotlib, monkeypatch):
    move, handler = os.replace, signal.getsignal(signal.SIGINT)

    def interrupted(source, target):
        if Path(target).parent == Path("study"):
            os.kill(os.getpid(), signal.SIGINT)
        move(source, target)

    monkeypatch.setattr(job.os, "replace", interrupted)
    assert cli.main(["study", book, *QUICK]) == 0
    assert sorted(os.listdir("study")) == ALL_FILES
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_training_keeps_what_was_learned(book, capsys, monkeypatch):
    def interrupted(*arguments):
        for n, loss in enumerate(study.train(*arguments)):
            if n == 3:
                raise KeyboardInterrupt
            yield loss

    monkeypatch.setattr(job, "train", interrupted)
    assert cli.main(["study", book, "--updates", "1000000", "--hidden", "8"]) == 130
    assert "interrupted after 3 of 1,000,000 updates" in one_line(capsys)
    words = Path("study/report.md").read_text(encoding="utf-8")
    assert "**Interrupted** after 3 of 1,000,000 updates" in words
    assert sorted(os.listdir("study")) == FILES


def test_ctrl_c_while_plots_are_made_leaves_nothing(book, matplotlib, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "decay", interrupt)
    assert cli.main(["study", book, *QUICK]) == 130
    assert capsys.readouterr().err.endswith("\ntinygrad-rnn: interrupted\n")
    assert os.listdir() == []


def hear_ctrl_c():
    """For a process that is started: not to ignore Ctrl-C, as those in the background do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="a signal as a terminal sends it")
def test_a_real_ctrl_c(book):
    command = [sys.executable, "-m", "tinygrad_rnn", "study", book, "--updates", "4000"]
    with subprocess.Popen(
        [*command, "--hidden", "4"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT, encoding="utf-8", preexec_fn=hear_ctrl_c,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert first.startswith("training  10%")
    assert "Traceback" not in rest
    assert "interrupted after" in rest
    assert process.returncode == 130
    assert "**Interrupted**" in Path("study/report.md").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="a pipe as a shell makes it")
def test_a_reader_that_leaves_is_no_error_to_speak_of(book):
    command = [sys.executable, "-m", "tinygrad_rnn", "study", book, *QUICK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert b"Traceback" not in said
    assert b"Error" not in said
    assert os.listdir() == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full, as a device")
@pytest.mark.parametrize("words", [["--help"], ["study", "book", *QUICK]])
def test_output_that_can_t_be_written_is_one_line_or_none(book, words):
    command = [sys.executable, "-m", "tinygrad_rnn", *(book if w == "book" else w for w in words)]
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": ""}  # argparse is silent about such errors
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment)
        assert done.returncode == 1
        assert done.stderr == (
            b"tinygrad-rnn: the output can't be written (No space left on device)\n"
        )
        assert subprocess.run(command, stdout=full, stderr=full, env=environment).returncode == 1
    assert os.listdir() == []


def test_a_terminal_without_the_letters_gets_question_marks(book):
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tinygrad_rnn", "study", book, *QUICK]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0
    assert b"?_t = h_t U + b_y" in done.stdout
    assert b"Traceback" not in done.stderr
    done.stderr.decode("ascii")


# ------------------------------------------------------------------------- what is shown, and how


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_progress_line_fits_the_terminal(monkeypatch, width):
    monkeypatch.setattr(Progress, "_width", lambda self: width)
    terminal = Terminal()
    with Progress("training", 100, "characters", terminal) as progress:
        for n in range(1, 101):
            progress._shown = 0  # every one is due
            progress.show(n, 1024 * n, f"loss {100 / n:.3f}")
    *lines, end = terminal.getvalue().split("\r")
    assert end.endswith("\n")
    assert lines[0] == ""
    assert len(lines) == 100
    assert all(len(line) < width for line in lines)
    if width >= 80:
        assert "100%  loss 1.000" in end
        assert "█" in end
        assert "░" not in end


def test_the_progress_is_a_few_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress("training", 2500, "characters", stream) as progress:
        for n in range(1, 2501):
            progress.show(n, 1024 * n, "loss 1.500")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("training  10%  loss 1.500")
    assert lines[-1].startswith("training 100%")
    assert "\r" not in stream.getvalue()


def test_a_sample_can_neither_drive_a_terminal_nor_end_its_block():
    shown = report.quoted("a\x1b[31mb\n```\n\n# c\td" + " word" * 40)
    assert "\x1b" not in shown
    lines = shown.split("\n")
    assert all(line.startswith("    ") or not line for line in lines)
    assert max(map(len, lines)) <= 80


# ------------------------------------------------------------------------------------- drawing


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_needs_no_options(folder, capsys):
    from tinygrad_rnn.draw.render import find_engine

    try:
        find_engine()
    except tinygrad_rnn.GraphvizNotFound:
        pytest.skip("no Graphviz engine")
    assert cli.main(["draw"]) == 0
    assert capsys.readouterr().out == "rnn.png\n"
    assert os.listdir() == ["rnn.png"]
    assert Path("rnn.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("network", ["rnn", "lstm", "gru", "two-layers", "bidirectional"])
@pytest.mark.parametrize("options", [[], ["--folded"], ["--detail", "cells", "--backward"]])
def test_every_network_is_drawn_in_every_way(folder, network, options):
    assert cli.main(["draw", network, "--steps", "3", "--out", "a.dot", *options]) == 0
    text = Path("a.dot").read_text(encoding="utf-8")
    assert ("one step later" in text) == ("--legend" in options)
    assert ("t = 1 … 3" in text) == ("--folded" in options)
    assert ("dir=back" in text) == ("--backward" in options)


def test_the_command_draws_what_the_function_draws(folder):
    from tinygrad_rnn.networks import NETWORKS

    words = "--steps 30 --ends 2 1 --show shapes --show values --notation karpathy --legend"
    words += " --direction up --theme print --title Steps --out a.dot"
    assert cli.main(["draw", "rnn", *words.split()]) == 0
    expected = tinygrad_rnn.draw(
        NETWORKS["rnn"](30), "Steps", steps=(2, 1), show=("shapes", "values"), notation="karpathy",
        legend=True, direction="up", theme="print",
    )  # fmt: skip
    assert Path("a.dot").read_text(encoding="utf-8") == expected.source


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transformer"], "invalid choice: 'transformer'"),
        (["--steps", "0"], "'0' should be from 1 to"),
        (["--steps", "3", "--ends", "3", "2"], "asks for 5 steps .* has 3"),
        (["--folded", "--ends", "1", "1"], "steps are those of the unrolled picture"),
        (["--detail", "all"], "invalid choice: 'all'"),
        (["--out", "a.gif"], r"'a.gif' ends in '.gif'; a picture is .png, .svg, .pdf or .dot"),
        (["--out", "no/a.svg"], "there is no folder 'no'"),
        (["--out", ""], "give the name of a file"),
        (["--steps", "9", "--dpi", "9999"], "a PNG has at most 32,767"),
    ],
)
def test_what_can_t_be_drawn_is_one_line_and_no_file(folder, capsys, words, said):
    assert cli.main(["draw", *words]) == 2
    assert re.search(said, one_line(capsys))
    assert os.listdir() == []


def test_without_an_engine_the_text_is_there(folder, capsys, monkeypatch):
    monkeypatch.setenv("GRAPHVIZ_DOT", "/no/such/program")
    assert cli.main(["draw", "--out", "a.png"]) == 2
    assert "The DOT text is saved as 'a.dot'" in one_line(capsys)
    assert os.listdir() == ["a.dot"]


# ------------------------------------------------------------------------------------- deriving


def printed_program(capsys, *words):
    """The text that the command prints, and the function in it."""
    assert cli.main(["derive", *words]) == 0
    text = capsys.readouterr().out
    space = {}
    exec(text, space)
    return text, space["training_step"]


def returned(text):
    """The names of what a printed program returns."""
    return re.search(r"Returns ([^.]*)\.", text)[1].replace("\n", " ").split(", ")


@pytest.mark.parametrize("network", ["rnn", "lstm", "gru", "two-layers", "bidirectional"])
@pytest.mark.parametrize("T", [3, 12, 20])
def test_a_printed_program_runs_by_itself_and_is_the_gradient(network, T, capsys):
    from tinygrad_rnn.networks import NETWORKS

    text, function = printed_program(capsys, network, "--steps", str(T))
    assert "tinygrad_rnn" not in text
    step = NETWORKS[network].step(T)
    x, y, *states = map(tinygrad_rnn.tensor, step.arguments)
    L = step.f(x, y, *states)
    found = function(*step.arguments, *(p.numpy() for p in step.parameters.values()))
    named = dict(zip(returned(text), found, strict=True))
    assert sorted(named) == sorted(["L", *(f"d{name}" for name in step.parameters)])
    np.testing.assert_allclose(named["L"], L.item(), rtol=1e-12)
    for name, p in step.parameters.items():
        np.testing.assert_allclose(named[f"d{name}"], p.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_the_printed_program_is_one_for_all_lengths(capsys):
    text, *others = (printed_program(capsys, "--steps", T)[0] for T in ("12", "15", "50"))
    assert others == [text, text]
    assert text.startswith("import numpy as np\n")
    assert text.count("\n    for ") == 2
    assert "    for t, da_t, slope_t in zip(range(T, 0, -1), da[::-1], slope[::-1]):\n" in text
    assert printed_program(capsys)[0] == printed_program(capsys, "rnn")[0] == text


def test_the_program_of_a_gru_is_what_a_specialist_writes(capsys):
    text, _ = printed_program(capsys, "gru")
    forwards, backwards = (part.partition("\n\n")[0] for part in text.split("    for ")[1:])
    assert (forwards.count("np."), backwards.count("np.")) == (10, 5)
    assert "# slope4_t = (h_{t-1} − n_t) · z_t · (1 − z_t) " in text
    assert "    z = gates[:, :, 10:20]\n" in text
    assert "    dv = dw  # dv_t takes the place of dw_t\n    dv[:, :, 20:] = da\n" in text


def test_equations_over_two_directions_say_which_step_is_read(capsys):
    text, _ = printed_program(capsys, "bidirectional")
    assert "# y_hat_t = h1_t U1 + h2_{T+1-t} U2 " in text
    assert "# dU2 = Σ_t h2_{T+1-t}ᵀ dy_hat_t " in text
    assert "# dh2_t = dy_hat_{T+1-t} U2ᵀ + da_{t+1} W2ᵀ " in text


def test_a_printed_program_is_pasted_into_a_file(tmp_path):
    command = [sys.executable, "-m", "tinygrad_rnn", "derive", "gru"]
    utf8 = {**ENVIRONMENT, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, env=utf8, check=True)
    (tmp_path / "program.py").write_bytes(done.stdout)
    again = [sys.executable, "-I", str(tmp_path / "program.py")]
    assert subprocess.run(again, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transformer"], "invalid choice: 'transformer'"),
        (["--steps", "0"], "'0' should be from 1 to"),
        (["--steps", "many"], "'many' should be from 1 to"),
        (["rnn", "lstm"], "unrecognized arguments: lstm"),
    ],
)
def test_what_can_t_be_derived_is_one_line(capsys, words, said):
    assert cli.main(["derive", *words]) == 2
    assert re.search(said, one_line(capsys))
