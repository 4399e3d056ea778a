"""The module: parameters with names, and a scope around what they compute.

It knows the attributes it was given and nothing of what its subclasses compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..engine.record import scope
from ..engine.tensor import Parameter, as_array

Array = npt.NDArray[Any]
Self = TypeVar("Self", bound="Module")


class Module:
    """Holds parameters and other modules as attributes; calling it runs `forward` in a scope.

    A parameter or module takes the name of the attribute that it is assigned to. Modules may stand
    in lists, whose elements are called `layers.0`, `layers.1`, …

    training: whether what is for training only, such as dropout, is done; see `train` and `eval`.
    """

    training: bool = True

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter) and value._name is None:
            value.name = name
        object.__setattr__(self, name, value)
        for path, module in _modules(name, value):
            module.__dict__.setdefault("_scope", path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with scope(self.__dict__.get("_scope", type(self).__name__)):
            return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no method forward")

    # ------------------------------------------------------------------------------ what is in here

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and those inside it, each once, with their dotted names."""
        seen: set[int] = set()
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop(0)
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            waiting[:0] = [(_dotted(path, name), child) for name, child in module._children()]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters in here, each once, with their dotted names, in order of assignment."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, parameter in module._own():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _dotted(path, name), parameter

    def parameters(self) -> list[Parameter]:
        """The parameters in here, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def _own(self) -> list[tuple[str, Parameter]]:
        return [(name, x) for name, x in vars(self).items() if isinstance(x, Parameter)]

    def _children(self) -> list[tuple[str, Module]]:
        return [child for name, value in vars(self).items() for child in _modules(name, value)]

    def __repr__(self) -> str:
        lines = []
        for path, module in self.named_modules():
            if type(module).__repr__ is not Module.__repr__ and path:
                lines.append(f"  {path}: {module!r}")
            lines += [
                f"  {_dotted(path, name)}: {'×'.join(map(str, parameter.shape)) or 'a number'}"
                for name, parameter in module._own()
            ]
        count = sum(parameter.size for parameter in self.parameters())
        return "\n".join([f"{type(self).__name__}, {count:,} parameters", *dict.fromkeys(lines)])

    # --------------------------------------------------------------------------------- its settings

    def train(self: Self, mode: bool = True) -> Self:
        """Set this module and those inside it to training; returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Set this module and those inside it to use, without dropout; returns the module."""
        return self.train(False)

    def astype(self: Self, dtype: npt.DTypeLike) -> Self:
        """Turn all parameters, in place, to another floating dtype; returns the module.

        Gradients are forgotten. An optimizer is made afterwards: it keeps arrays of the old dtype.
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"astype: {np.dtype(dtype)}; parameters are floating-point numbers")
        for parameter in self.parameters():
            parameter.array = np.array(parameter.array, dtype).view()
            parameter.zero_grad()
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ----------------------------------------------------------------------------------- its values

    def state_dict(self) -> dict[str, Array]:
        """Copies of the parameters' values, by their dotted names."""
        return {name: parameter.numpy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give the parameters the values that `state_dict` gave.

        A ValueError names every entry that is missing, unknown, or of another shape or dtype;
        then no parameter has changed.
        """
        arrays = self.fitting(state)
        for name, parameter in self.named_parameters():
            assign(parameter, arrays[name])

    def fitting(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """The entries of a state dict as arrays, if they fit; else `load_state_dict`'s error."""
        expected = {name: parameter.array for name, parameter in self.named_parameters()}
        return _fitting(type(self).__name__, expected, state)

    def torch_state_dict(self) -> dict[str, Array]:
        """The parameters' values with the names and layouts that PyTorch's modules have.

        For Linear, Embedding, LayerNorm, the cells and RNN, LSTM and GRU, and modules made of them;
        other parameters keep name and layout. PyTorch has two biases where there is one here: the
        second one is 0. To load them there:

            theirs.load_state_dict({k: torch.from_numpy(a) for k, a in d.items()})
        """
        arrays = {name: parameter.numpy() for name, parameter in self._own()}
        for name, child in self._children():
            arrays |= {f"{name}.{key}": a for key, a in child.torch_state_dict().items()}
        return arrays

    def load_torch_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give the parameters the values of a PyTorch module: `theirs.state_dict()`.

        Where PyTorch has two biases and there is one here, it becomes their sum. Errors as of
        `load_state_dict`.
        """
        self._take_torch(_fitting(type(self).__name__, self.torch_state_dict(), state))

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        """`load_torch_state_dict` of arrays that are known to fit."""
        for name, parameter in self._own():
            assign(parameter, arrays[name])
        for name, child in self._children():
            start = f"{name}."
            child._take_torch({
                key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)
            })  # fmt: skip


def assign(parameter: Parameter, array: Array) -> None:
    """Give a parameter a value of its shape and dtype. Its layout in memory stays, on which the
    last bits of products depend."""
    value = np.empty_like(parameter.array)
    value[...] = array
    parameter.data = value


def _fitting(
    what: str, expected: Mapping[str, Array], state: Mapping[str, Any]
) -> dict[str, Array]:
    """The entries of a state dict as arrays; a ValueError says which are not as expected."""
    arrays = {name: as_array(x) for name, x in state.items()}
    unknown = [name for name in arrays if name not in expected]
    wrong = []
    for name, like in expected.items():
        if name not in arrays:
            alike = [
                repr(other) for other in unknown
                if arrays[other].shape == like.shape and _last(other) == _last(name)
            ]  # fmt: skip
            hint = f"; renamed to {' or '.join(alike)}?" if alike else ""
            wrong.append(f"{name!r} {like.shape} is missing{hint}")
        elif arrays[name].shape != like.shape:
            wrong.append(f"{name!r} has shape {arrays[name].shape}, not {like.shape}")
        elif arrays[name].dtype != like.dtype:
            remedy = ""
            if arrays[name].dtype.kind == "f":
                remedy = f"; call astype({str(arrays[name].dtype)!r}) first"
            wrong.append(f"{name!r} is {arrays[name].dtype}, not {like.dtype}{remedy}")
    wrong += [f"{name!r} {arrays[name].shape} is not in the module" for name in unknown]
    if wrong:
        raise ValueError(f"{what}: the state dict does not fit: " + "; ".join(wrong))
    return arrays


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _modules(name: str, value: Any) -> list[tuple[str, Module]]:
    """The modules that an attribute holds, with their names."""
    if isinstance(value, Module):
        return [(name, value)]
    if isinstance(value, (list, tuple)):
        return [(f"{name}.{i}", m) for i, m in enumerate(value) if isinstance(m, Module)]
    return []
