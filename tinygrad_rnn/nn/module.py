"""The module: parameters with names, and a scope around what they compute.

It knows the attributes it was given and nothing of what its subclasses compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..engine.record import scope
from ..engine.tensor import Parameter


class Module:
    """Holds parameters and other modules as attributes; calling it runs `forward` in a scope.

    A parameter or module takes the name of the attribute that it is assigned to. Modules may stand
    in lists, whose elements are called `layers.0`, `layers.1`, …
    """

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
            waiting[:0] = [
                (f"{path}.{name}" if path else name, child)
                for attribute, value in vars(module).items()
                for name, child in _modules(attribute, value)
            ]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters in here, each once, with their dotted names, in order of assignment."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> list[Parameter]:
        """The parameters in here, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def __repr__(self) -> str:
        lines = [
            f"  {name}: {'×'.join(map(str, parameter.shape))}"
            for name, parameter in self.named_parameters()
        ]
        count = sum(parameter.size for parameter in self.parameters())
        return "\n".join([f"{type(self).__name__}, {count:,} parameters", *lines])


def _modules(name: str, value: Any) -> list[tuple[str, Module]]:
    """The modules that an attribute holds, with their names."""
    if isinstance(value, Module):
        return [(name, value)]
    if isinstance(value, (list, tuple)):
        return [(f"{name}.{i}", m) for i, m in enumerate(value) if isinstance(m, Module)]
    return []
