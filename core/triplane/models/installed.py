"""Finding models, by entry point or in a file. Listing their names imports none of them; only child processes load them."""

import sys
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec
from types import CodeType
from typing import Any

GROUP = "triplane.models"


@cache
def installed_models() -> dict[str, EntryPoint]:
    """Every installed model by name, not loaded. Read once: what is installed later needs a restart."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def load_model(name: str) -> Any:
    """The model's class. Runs foreign code: only for child processes.

    Raises:
        KeyError: no such model; ImportError and whatever else its module raises.
    """
    return installed_models()[name].load()


class _Text(InspectLoader):
    """Loads a module from its text, which is nowhere on disk any more."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file = text, file

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._text, self._file)


def load_code(model: str, code: str) -> Any:
    """The class that `model`, a FILE.py:CLASS, names in a file of this text. Runs foreign code: only for child processes.

    Raises:
        AttributeError: no such class; SyntaxError and whatever else the file raises.
    """
    file, _, name = model.rpartition(":")
    # Known to the interpreter by its name, as pickling and dataclasses want it.
    called = f"model_{file.removesuffix('.py')}"
    loader = _Text(code, file)
    module = sys.modules[called] = module_from_spec(ModuleSpec(called, loader))
    loader.exec_module(module)
    return getattr(module, name)
