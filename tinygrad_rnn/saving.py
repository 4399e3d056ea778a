"""Saving a model and what its training depends on to one file, and loading it without trust.

The file is an .npz, a zip of arrays, which `np.load` reads too:

    about.json                what else is in here, with dtypes and shapes; settings; `extra`
    model/NAME.npy            a parameter
    optimizer/0/mean.npy      what the optimizer keeps for its first parameter

Names are quoted as in a URL, so that any name is a name and no path. Nothing is ever unpickled.
The sums of the zip, the lists in about.json and the model it is for have to agree before anything
is changed.
"""

from __future__ import annotations

import io
import json
import math
import os
import secrets
import stat
import zipfile
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from .nn import Module
from .optim import Optimizer

Array = npt.NDArray[Any]
ABOUT = "about.json"
FORMAT = {"format": "tinygrad_rnn", "version": 1}


class LoadError(ValueError):
    """A file that is damaged, was not written by `tg.save`, or does not fit the model."""


# -------------------------------------------------------------------------------------- writing


def save(
    model: Module,
    path: str | os.PathLike[str],
    optimizer: Optimizer | None = None,
    extra: Any = None,
) -> None:
    """Write a model's parameters to a file, and all that its training goes on from.

    path: taken as it is; .npz is the usual ending.
    optimizer: its settings and what it keeps.
    extra: whatever JSON can say: sizes, a vocabulary, the number of updates, and of the generator
        that draws the batches, `rng.bit_generator.state`. Keys are strings; tuples become lists.

    The states of the random generators in the model, such as that of Dropout, are written as well,
    so that training goes on bit by bit as if it had not stopped. Gradients are not written.

    The file is whole or not there: it is written beside an older one, which it then replaces. A
    TypeError says what in `extra` is nothing for JSON; then the older file stays.
    """
    arrays = {f"model/{_quoted(name)}": a for name, a in model.state_dict().items()}
    about: dict[str, Any] = {**FORMAT, "optimizer": None, "extra": extra}
    if optimizer is not None:
        state = optimizer.state_dict()
        for i, kept in enumerate(state["state"]):
            for key in [key for key, value in kept.items() if isinstance(value, np.ndarray)]:
                arrays[f"optimizer/{i}/{_quoted(key)}"] = kept.pop(key)
        about["optimizer"] = state  # what is left of it
    about["generators"] = {
        name: _plain(generator.bit_generator.state) for name, generator in _generators(model)
    }
    about["arrays"] = {name: [a.dtype.str, list(a.shape)] for name, a in arrays.items()}
    _check_keys(extra, "extra")
    try:
        text = json.dumps(about, indent=1)
    except (TypeError, ValueError) as error:
        raise TypeError(f"save: extra is not what JSON can say: {error}") from None
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT), text)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getbuffer())
    write_whole(path, file.getbuffer())


def write_whole(path: str | os.PathLike[str], content: Any) -> None:
    """Write a file beside the path, and then put it there: at no time is half of it there."""
    path = os.path.realpath(path)
    part = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # Ctrl-C too
        if os.path.exists(part):
            os.remove(part)
        raise


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


def _unquoted(name: str) -> str:
    return unquote(name, errors="surrogatepass")


def _generators(model: Module) -> list[tuple[str, np.random.Generator]]:
    """The random generators that are attributes of modules, with their dotted names."""
    return [
        (f"{path}.{name}" if path else name, value)
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    ]


def _plain(x: Any) -> Any:
    """The state of a generator as JSON has it: some hold arrays of integers."""
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    return x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x


def _check_keys(x: Any, where: str) -> None:
    """A TypeError for a key that would come back from JSON as another one."""
    if isinstance(x, dict):
        for key, value in x.items():
            if not isinstance(key, str):
                raise TypeError(f"save: {where} has the key {key!r}; JSON has strings only")
            _check_keys(value, f"{where}[{key!r}]")
    elif isinstance(x, (list, tuple)):
        for i, value in enumerate(x):
            _check_keys(value, f"{where}[{i}]")


# -------------------------------------------------------------------------------------- reading


class Saved:
    """What a file holds. `restore` gives it to a model.

    path: where it was read from.
    parameters: the arrays by their dotted names, as `model.state_dict()` gave them.
    optimizer: as `optimizer.state_dict()` gave it; None if there was none.
    extra: what was given to `save`, after JSON.
    """

    def __init__(self, path: str, arrays: dict[str, Array], about: dict[str, Any]) -> None:
        self.path = path
        self.parameters: dict[str, Array] = {}
        self.optimizer: dict[str, Any] | None = about["optimizer"]
        self.extra: Any = about["extra"]
        self._generators: dict[str, Any] = about["generators"]
        for name, array in arrays.items():
            room, *rest = name.split("/")
            if room == "model":
                (key,) = map(_unquoted, rest)
                self.parameters[key] = array
            else:
                place, key = rest
                about["optimizer"]["state"][int(place)][_unquoted(key)] = array

    def restore(self, model: Module, optimizer: Optimizer | None = None) -> None:
        """Give the parameters, the random generators and the optimizer their saved values.

        A LoadError names every entry that is missing, unknown, or of another shape or dtype, or
        what is of another optimizer; then nothing has changed.
        """
        generators = dict(_generators(model))
        try:
            arrays = model.fitting(self.parameters)
            if set(generators) != set(self._generators):
                raise ValueError(
                    f"it has the states of the generators {sorted(self._generators)}; "
                    f"the model has {sorted(generators)}"
                )
            for name, generator in generators.items():
                _check_generator(name, generator, self._generators[name])
            if optimizer is not None:
                if self.optimizer is None:
                    raise ValueError("it was saved without an optimizer")
                optimizer.fitting(self.optimizer)
        except ValueError as error:
            raise LoadError(f"{self.path}: {error}") from None
        model.load_state_dict(arrays)
        for name, generator in generators.items():
            generator.bit_generator.state = self._generators[name]
        if optimizer is not None and self.optimizer is not None:
            optimizer.load_state_dict(self.optimizer)


def load(path: str | os.PathLike[str]) -> Saved:
    """Read a file that `save` wrote, and check it whole.

    What was saved as extra tells how to make the model that the rest is for:

        saved = tg.load("model.npz")
        model = Tagger(**saved.extra["sizes"])
        optimizer = tg.optim.Adam(model.parameters())
        saved.restore(model, optimizer)

    A LoadError says what is wrong, and where in the file. Nothing in it is run or unpickled.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):  # it may have no end
            raise LoadError(f"{name}: this is not a file, but a device")
        content = file.read()
    try:
        return _read(name, content)
    except LoadError:
        raise
    except Exception as error:  # whatever the readers of zip, npy and JSON make of odd bytes
        raise LoadError(f"{name}: {type(error).__name__}: {error}") from None


def _read(path: str, content: bytes) -> Saved:
    def wrong(what: str) -> LoadError:
        return LoadError(f"{path}: {what}")

    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise wrong(f"this is no .npz file, or its end is missing ({error})") from None
    members: dict[str, bytes] = {}
    for info in archive.infolist():
        where = f"entry {info.filename!r:.80}"
        if info.filename in members:
            raise wrong(f"{where} is there twice")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(content):
            raise wrong(f"{where} is compressed, or claims {info.file_size:,} bytes")
        try:
            members[info.filename] = archive.read(info)  # which checks its sum
        except Exception as error:
            raise wrong(f"{where} is damaged: {error}") from None
        if len(members[info.filename]) != info.file_size:
            raise wrong(f"{where} has not the {info.file_size:,} bytes that it claims")
    if ABOUT not in members:
        raise wrong(f"there is no {ABOUT} in it; tg.save did not write it")
    about = json.loads(members.pop(ABOUT))
    if not isinstance(about, dict) or about.get("format") != FORMAT["format"]:
        raise wrong(f"{ABOUT} is not of tg.save")
    if about.get("version") != FORMAT["version"]:
        raise wrong(f"version {about.get('version')!r} of the format; this reads version 1")
    if not isinstance(about["generators"], dict):
        raise wrong(f"{ABOUT} has no states of generators by their names")
    listed = about["arrays"]
    for name in listed:
        if f"{name}.npy" not in members:
            raise wrong(f"entry {name!r:.80} is missing")
    arrays = {}
    for member, data in members.items():
        name = member.removesuffix(".npy")
        if name not in listed or member == name:
            raise wrong(f"entry {member!r:.80} is not one of those listed in {ABOUT}")
        try:
            arrays[name] = _array(data, *listed[name])
        except ValueError as error:
            raise wrong(f"entry {member!r:.80}: {error}") from None
    return Saved(path, arrays, about)


def _array(data: bytes, dtype: str, shape: list[int]) -> Array:
    """An array in the .npy format, which has to be of the dtype and shape that are listed."""
    file = io.BytesIO(data)
    headers = np.lib.format
    if headers.read_magic(file) == (1, 0):
        stored, fortran, kind = headers.read_array_header_1_0(file)
    else:
        stored, fortran, kind = headers.read_array_header_2_0(file)
    if kind.kind not in "fiub" or kind.hasobject:
        raise ValueError(f"{kind} is no dtype of numbers; nothing is unpickled")
    size = len(data) - file.tell()
    if math.prod(stored) * kind.itemsize != size:
        raise ValueError(f"the header claims {kind} {stored}, and {size:,} bytes follow")
    if (kind.str, list(stored)) != (dtype, shape):
        raise ValueError(f"it is {kind} {stored}, and listed as {dtype} {shape}")
    array = np.frombuffer(data, kind, offset=file.tell())
    return array.reshape(stored, order="F" if fortran else "C").copy()


def _check_generator(name: str, generator: np.random.Generator, state: Any) -> None:
    """A ValueError if a generator would not take this state."""
    kind = type(generator.bit_generator)
    try:
        kind().state = state
    except Exception as error:
        raise ValueError(f"the generator {name!r}, a {kind.__name__}: {error}") from None
