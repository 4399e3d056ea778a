"""Saving and loading: training goes on bit by bit, and damage is found before it does any."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import saving


class Model(tg.nn.Module):
    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.embed = tg.nn.Embedding(6, 3, rng=rng)
        self.drop = tg.nn.Dropout(0.3, rng=rng)
        self.rnn = tg.nn.GRU(3, 4, num_layers=2, dropout=0.2, rng=rng)
        self.out = tg.nn.Linear(4, 6, rng=rng)

    def forward(self, ids: Any, state: Any) -> Any:
        outputs, state = self.rnn(self.drop(self.embed(ids)), state)
        return self.out(outputs), state


MAKERS = {
    "SGD": lambda p: tg.optim.SGD(p, 0.1, momentum=0.9),
    "RMSprop": lambda p: tg.optim.RMSprop(p),
    "AdamW": lambda p: tg.optim.AdamW(p, 0.01),
}


def train(model: Model, optimizer: Any, rng: Any, state: Any, first: int, last: int) -> Any:
    losses = []
    for n in range(first, last):
        optimizer.lr = 0.02 * tg.optim.warmup(n, 3) * tg.optim.cosine(n, 10)
        ids = rng.integers(0, 6, (5, 2))
        y_hat, state = model(ids[:-1], state)
        loss = tg.cross_entropy(y_hat, ids[1:])
        optimizer.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm(optimizer.parameters, 1.0)
        optimizer.step()
        state = state.detach()
        losses.append(loss.item())
    return losses, state


@pytest.mark.parametrize("kind", MAKERS)
def test_training_that_was_resumed_is_bit_equal_to_training_that_was_not(
    tmp_path: Path, kind: str
) -> None:
    whole, rng = Model(), np.random.default_rng(1)
    optimizer = MAKERS[kind](whole.parameters())
    _, state = train(whole, optimizer, rng, None, 0, 4)
    path = tmp_path / "model.npz"
    extra = {"n": 4, "state": state.data.tolist(), "rng": rng.bit_generator.state}
    tg.save(whole, path, optimizer, extra)
    losses, end = train(whole, optimizer, rng, state, 4, 9)

    saved = tg.load(path)
    model, rng = Model(seed=7), np.random.default_rng()
    again = MAKERS[kind](model.parameters())
    saved.restore(model, again)
    rng.bit_generator.state = saved.extra["rng"]
    start = tg.tensor(saved.extra["state"], dtype=np.float32)
    resumed, last = train(model, again, rng, start, saved.extra["n"], 9)
    assert resumed == losses
    np.testing.assert_array_equal(last.data, end.data)
    for (name, p), q in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert p.data.tobytes() == q.data.tobytes(), name
    for kept, like in zip(again.state, optimizer.state, strict=True):
        assert kept.keys() == like.keys()
        assert all(np.array_equal(kept[name], like[name]) for name in kept)


def test_what_is_in_the_file_and_that_numpy_reads_it(tmp_path: Path) -> None:
    model = Model()
    path = tmp_path / "ein Modell ö"
    tg.save(model, path, extra={"words": ["a", "é"], "loss": float("inf")})
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["model/out.U"], model.out.U.data)
    saved = tg.load(str(path))
    assert saved.extra == {"words": ["a", "é"], "loss": float("inf")}
    assert saved.optimizer is None
    assert list(saved.parameters) == list(model.state_dict())
    once = path.read_bytes()
    tg.save(model, path, extra={"words": ["a", "é"], "loss": float("inf")})
    assert path.read_bytes() == once, "the same model, the same file"
    assert os.listdir(tmp_path) == [path.name]


ODD = [
    "file", "../../x", "/etc/passwd", "a\\b", "nul\0byte", "..", "x.npy", "", "é☃", "a b%20c",
    "CON", "model/V", "about.json", "\ud800", "n" * 500, "☃" * 500, "self", "A", "a",
]  # fmt: skip


def test_odd_names_are_just_names(tmp_path: Path) -> None:
    model, other = tg.nn.Module(), tg.nn.Module()
    for i, name in enumerate(ODD):
        setattr(model, name, tg.Parameter([float(i)]))
        setattr(other, name, tg.Parameter([-1.0]))
    optimizer, again = (tg.optim.Adam(m.parameters()) for m in (model, other))
    for p in model.parameters():
        p.grad = tg.tensor([1.0])
    optimizer.step()
    (tmp_path / "deep").mkdir()
    tg.save(model, tmp_path / "deep" / "m.npz", optimizer)
    saved = tg.load(tmp_path / "deep" / "m.npz")
    saved.restore(other, again)
    for name in ODD:
        np.testing.assert_array_equal(getattr(other, name).data, getattr(model, name).data)
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "m.npz"]
    assert not any("/../" in n or n.startswith("/") for n in zipfile.ZipFile(
        tmp_path / "deep" / "m.npz").namelist())  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_shape_comes_back(tmp_path: Path, dtype: Any) -> None:
    model, other = tg.nn.Module(), tg.nn.Module()
    values = [np.array(3.5), np.zeros((0, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
              np.array([np.nan, -0.0, np.inf])]  # fmt: skip
    for i, value in enumerate(values):
        setattr(model, f"p{i}", tg.Parameter(value, dtype=dtype))
        setattr(other, f"p{i}", tg.Parameter(np.ones_like(value), dtype=dtype))
    tg.save(model, tmp_path / "m.npz")
    tg.load(tmp_path / "m.npz").restore(other)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert p.dtype == q.dtype
        assert p.shape == q.shape
        assert p.data.tobytes() == q.data.tobytes()
        q.data[...] = 0  # and it can be written to


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_generators_of_every_kind_go_on(tmp_path: Path, kind: str) -> None:
    def model(seed: int, kind: str = kind) -> Any:
        bits = getattr(np.random, kind)(seed)
        return tg.nn.Dropout(0.5, rng=np.random.Generator(bits))

    drop, again, x = model(0), model(1), np.ones((3, 3), np.float32)
    drop(x)
    tg.save(drop, tmp_path / "d.npz")
    tg.load(tmp_path / "d.npz").restore(again)
    np.testing.assert_array_equal(drop(x), again(x))
    other = model(1, "MT19937" if kind != "MT19937" else "SFC64")
    with pytest.raises(tg.LoadError, match="the generator 'rng', a "):
        tg.load(tmp_path / "d.npz").restore(other)
    with pytest.raises(tg.LoadError, match=r"generators \['rng'\]; the model has \[\]"):
        tg.load(tmp_path / "d.npz").restore(tg.nn.Module())


# ------------------------------------------------------------------------------------- writing


def test_what_json_cannot_say_leaves_the_older_file(tmp_path: Path) -> None:
    path, model = tmp_path / "m.npz", Model()
    tg.save(model, path, extra="first")
    for extra, message in [
        ({"a": np.ones(2)}, "ndarray"),
        ({"a": [{3: 1}]}, r"extra\['a'\]\[0\] has the key 3"),
        ({"a": object()}, "object"),
    ]:
        with pytest.raises(TypeError, match=message):
            tg.save(model, path, extra=extra)
    assert tg.load(path).extra == "first"
    assert os.listdir(tmp_path) == ["m.npz"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    path, model = tmp_path / "m.npz", Model()
    tg.save(model, path, extra="first")

    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(saving.os, where, fail)
        with pytest.raises(type(error)):
            tg.save(model, path, extra="second")
    assert tg.load(path).extra == "first"
    assert os.listdir(tmp_path) == ["m.npz"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "m.npz"
    link.symlink_to(tmp_path / "real" / "m.npz")
    tg.save(Model(), link)
    assert link.is_symlink()
    assert (tmp_path / "real" / "m.npz").is_file()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "m.npz")
    with pytest.raises(FileNotFoundError):
        tg.save(Model(), tmp_path / "nowhere" / "m.npz")


# -------------------------------------------------------------------------------------- damage


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="a device that has a path")
def test_a_device_is_not_read_as_it_may_have_no_end() -> None:
    with pytest.raises(saving.LoadError, match="/dev/null: this is not a file, but a device"):
        tg.load("/dev/null")


def saved_file(tmp_path: Path) -> tuple[Path, Model, Any]:
    """A file with an optimizer's state in it."""
    model = Model()
    optimizer = tg.optim.Adam(model.parameters())
    train(model, optimizer, np.random.default_rng(0), None, 0, 2)
    path = tmp_path / "model.npz"
    tg.save(model, path, optimizer, {"words": ["a", "b"]})
    return path, model, optimizer


def everything(model: Model, optimizer: Any) -> str:
    """All that loading could change, to the bit."""
    arrays = [p.data.tobytes().hex() for p in model.parameters()]
    state = [
        sorted((k, np.asarray(v).tobytes().hex()) for k, v in s.items()) for s in optimizer.state
    ]
    return repr((arrays, state, optimizer.lr, optimizer.betas, optimizer.eps,
                 model.drop.rng.bit_generator.state, model.training))  # fmt: skip


def tried(path: Path, target: Model, optimizer: Any) -> str | None:
    """Load a file into a model; the message, if it is refused, and then nothing has changed."""
    before = everything(target, optimizer)
    try:
        tg.load(path).restore(target, optimizer)
    except tg.LoadError as error:
        message = str(error)
    else:
        return None
    assert str(path) in message
    assert everything(target, optimizer) == before
    return message


def fresh() -> tuple[Model, Any]:
    target = Model(seed=5)
    return target, tg.optim.Adam(target.parameters(), lr=0.5)


def test_a_file_damaged_at_200_places_does_not_load_or_loads_equal(tmp_path: Path) -> None:
    path, model, optimizer = saved_file(tmp_path)
    content = path.read_bytes()
    good, (target, its) = everything(model, optimizer), fresh()
    rng = np.random.default_rng(0)
    ways = {
        "a flipped bit": lambda b, at: bytes([b ^ (1 << int(rng.integers(8)))]),
        "another byte": lambda b, at: bytes([(b + int(rng.integers(1, 256))) % 256]),
    }
    refused = 0
    for n, at in enumerate(rng.choice(len(content), 200, replace=False)):
        way = list(ways.values())[n % 2]
        path.write_bytes(content[:at] + way(content[at], at) + content[at + 1 :])
        if tried(path, target, its):
            refused += 1
        else:  # dates and the like in the zip's tables
            assert everything(target, its) == good
            assert tg.load(path).extra == {"words": ["a", "b"]}
            target, its = fresh()
    assert refused > 150


def test_every_byte_of_the_data_counts(tmp_path: Path) -> None:
    path, _, _ = saved_file(tmp_path)
    content, (target, its) = path.read_bytes(), fresh()
    with zipfile.ZipFile(path) as archive:
        starts = {i.filename: i.header_offset + 30 + len(i.filename) for i in archive.infolist()}
        sizes = {i.filename: i.file_size for i in archive.infolist()}
    for name in ("about.json", "model/out.b.npy", "optimizer/0/mean.npy"):
        for at in range(starts[name], starts[name] + sizes[name], 17):
            path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
            assert name in (tried(path, target, its) or ""), at


def test_a_file_cut_off_anywhere_does_not_load(tmp_path: Path) -> None:
    path, _, _ = saved_file(tmp_path)
    content, (target, its) = path.read_bytes(), fresh()
    places = {*range(40), *range(0, len(content), 97), *range(len(content) - 150, len(content))}
    for at in sorted(places):
        path.write_bytes(content[:at])
        assert "no .npz file, or its end is missing" in (tried(path, target, its) or ""), at


def test_bytes_that_are_swapped_doubled_or_dropped(tmp_path: Path) -> None:
    path, model, optimizer = saved_file(tmp_path)
    content, (target, its) = path.read_bytes(), fresh()
    good, rng = everything(model, optimizer), np.random.default_rng(1)
    for _ in range(60):
        a, b, c = sorted(rng.integers(0, len(content), 3))
        for damaged in (
            content[:a] + content[b:], content[:a] + content[b:c] + content[a:b] + content[c:],
            content[:b] + content[a:], content[:a] + bytes(b - a) + content[b:],
        ):  # fmt: skip
            path.write_bytes(damaged)
            if tried(path, target, its) is None:
                assert everything(target, its) == good
                target, its = fresh()


def rewritten(path: Path, change: Any) -> None:
    """The same file with its entries, name → bytes, changed, and sums that are right again."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape: str, descr: str = "'<f4'", data: bytes = b"\0" * 16) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


class Bomb:
    """What runs when it is unpickled."""

    fuse: list[int] = []  # noqa: RUF012

    def __reduce__(self) -> Any:
        return Bomb.fuse.append, (1,)


ENTRY, ADAMS = "model/out.U.npy", "optimizer/0/mean.npy"


def edited(**changes: Any) -> Any:
    """A change of about.json."""

    def change(entries: dict[str, bytes]) -> None:
        about = json.loads(entries["about.json"])
        for key, value in changes.items():
            about[key] = value(about[key]) if callable(value) else value
        entries["about.json"] = json.dumps(about).encode()

    return change


def listed_too(name: str, array: Any) -> Any:
    """Another array under a name, with about.json saying so."""

    def change(entries: dict[str, bytes]) -> None:
        entries[f"{name}.npy"] = npy(array)
        listed = {name: [array.dtype.str, list(array.shape)]}
        edited(arrays=lambda arrays: arrays | listed)(entries)

    return change


def renamed(old: str, new: str) -> Any:
    def change(entries: dict[str, bytes]) -> None:
        entries[f"{new}.npy"] = entries.pop(f"{old}.npy")
        edited(arrays=lambda a: {new if k == old else k: v for k, v in a.items()})(entries)

    return change


def set_to(name: str, content: Any) -> Any:
    return lambda entries: entries.__setitem__(name, content)


CHANGES: list[tuple[str, Any, str]] = [
    ("objects", set_to(ENTRY, npy(np.array([Bomb()] * 24), allow_pickle=True)), "nothing is unp"),
    ("a pickle", set_to(ENTRY, pickle.dumps(Bomb())), r"out\.U\.npy'.*magic"),
    ("no array", set_to(ENTRY, b""), r"out\.U\.npy'"),
    ("a huge claim", set_to(ENTRY, header("(1000000000000,)")), r"claims float32 \(10{12},\)"),
    ("many axes", set_to(ENTRY, header("(1000000, 1000000)")), r"header claims"),
    ("below zero", set_to(ENTRY, header("(-2, -2)")), r"out\.U\.npy'"),
    ("code", set_to(ENTRY, header("__import__('os').getpid()")), r"out\.U\.npy'"),
    ("a deep header", set_to(ENTRY, header("(" * 3000 + ")" * 3000)), r"out\.U\.npy'"),
    ("a new version", set_to(ENTRY, b"\x93NUMPY\x09\x00" + header("(4,)")[8:]), r"out\.U\.npy'"),
    ("strings", set_to(ENTRY, npy(np.array(["a"] * 24).reshape(4, 6))), "no dtype of numbers"),
    ("other shape", set_to(ENTRY, npy(np.ones((6, 4), np.float32))), "listed as <f4"),
    ("other dtype", set_to(ENTRY, npy(np.ones((4, 6)))), "listed as <f4"),
    ("other order", set_to(ENTRY, npy(np.ones((4, 6), ">f4"))), "it is >f4"),
    ("too long", lambda e: e.update({ENTRY: e[ENTRY] + b"\0"}), "bytes follow"),
    ("too short", lambda e: e.update({ENTRY: e[ENTRY][:-1]}), "bytes follow"),
    ("missing", lambda e: e.pop(ENTRY), r"'model/out.U' is missing"),
    ("missing in Adam", lambda e: e.pop(ADAMS), r"'optimizer/0/mean' is missing"),
    ("extra", set_to("model/new.npy", npy(np.ones(1))), "'model/new.npy' is not one of those"),
    ("extra, no array", set_to("evil.py", b"print(1)"), "'evil.py' is not one of those"),
    ("not about", lambda e: e.pop("about.json"), "no about.json"),
    ("no json", set_to("about.json", b"{"), "JSONDecodeError"),
    ("deep json", set_to("about.json", b"[" * 100_000), "RecursionError"),
    ("another json", set_to("about.json", b"[]"), "not of tg.save"),
    ("another program's", edited(format="other"), "not of tg.save"),
    ("a later version", edited(version=2), "version 2 of the format"),
    ("nothing listed", edited(arrays={}), "not one of those listed"),
    ("listed badly", edited(arrays=lambda a: dict.fromkeys(a, 3)), "model.npz: "),
    ("no optimizer", edited(optimizer=None), "model.npz: "),
    ("model: other shape", listed_too("model/out.b", np.ones(7, np.float32)),
     r"'out\.b' has shape \(7,\), not \(6,\)"),
    ("model: other dtype", listed_too("model/out.b", np.ones(6)), "'out.b' is float64, not"),
    ("model: extra", listed_too("model/new", np.ones(2)), r"'new' \(2,\) is not in the module"),
    ("model: renamed", renamed("model/out.b", "model/old.b"), r"missing; renamed to 'old\.b'\?"),
    ("Adam: other shape", listed_too("optimizer/0/mean", np.ones(2, np.float32)), "has mean of fl"),
    ("Adam: extra", listed_too("optimizer/0/velocity", np.ones(2)), "'velocity'"),
    ("Adam: too many", listed_too("optimizer/99/mean", np.ones(2)), "IndexError"),
    ("another optimizer", edited(optimizer=lambda o: {**o, "optimizer": "SGD"}), "of 'SGD'"),
    ("Adam: options", edited(optimizer=lambda o: {**o, "options": {"lr": 1}}), "the options are"),
    ("Adam: lr", edited(optimizer=lambda o: {**o, "options": {**o["options"], "lr": "x"}}),
     "no values of options"),
    ("no generators", edited(generators={}), "the model has"),
    ("generators that are none", edited(generators=None), "no states of generators"),
    ("a bad generator", edited(generators=lambda g: dict.fromkeys(g)), "generator '"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "change", "message"), CHANGES, ids=[c[0] for c in CHANGES])
def test_files_that_are_whole_but_wrong(
    tmp_path: Path, what: str, change: Any, message: str
) -> None:
    path, _, _ = saved_file(tmp_path)
    rewritten(path, lambda entries: None)
    assert tried(path, *fresh()) is None, "unchanged it loads"
    rewritten(path, change)
    with pytest.raises(tg.LoadError, match=message):
        tg.load(path).restore(*fresh())
    assert tried(path, *fresh())
    assert not Bomb.fuse, "nothing was unpickled"


def test_another_order_of_the_same_elements_is_the_same(tmp_path: Path) -> None:
    path, model, optimizer = saved_file(tmp_path)
    rewritten(path, set_to(ENTRY, npy(np.asfortranarray(model.out.U.numpy()))))
    target, its = fresh()
    assert tried(path, target, its) is None
    assert everything(target, its) == everything(model, optimizer)


def test_compressed_and_doubled_entries_are_refused(tmp_path: Path) -> None:
    path, _, _ = saved_file(tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/zeros.npy", bytes(10**7))
    with pytest.raises(
        tg.LoadError, match=r"'model/zeros.npy' is compressed, or claims 10,000,000"
    ):
        tg.load(path)
    path, _, _ = saved_file(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(ENTRY, b"")
    with pytest.raises(tg.LoadError, match=r"'model/out.U.npy' is there twice"):
        tg.load(path)


def test_other_files_and_other_models(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    for content in (b"", b"PK\x05\x06" + bytes(18), pickle.dumps({"a": 1}), b"\x93NUMPY", b"text"):
        path.write_bytes(content)
        with pytest.raises(tg.LoadError, match=r"m\.npz: "):
            tg.load(path)
    np.savez(path, V=np.ones(3))
    with pytest.raises(tg.LoadError, match=r"no about\.json in it; tg\.save did not write it"):
        tg.load(path)
    tg.save(tg.nn.RNN(3, 4), path)
    with pytest.raises(tg.LoadError, match=r"'cells\.0\.V' has shape \(3, 4\), not \(5, 4\)"):
        tg.load(path).restore(tg.nn.RNN(5, 4))
    other = tg.nn.RNN(3, 4)
    optimizer = tg.optim.Adam(other.parameters())
    with pytest.raises(tg.LoadError, match="it was saved without an optimizer"):
        tg.load(path).restore(other, optimizer)
