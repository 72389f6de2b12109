"""Simulation models: the interface that they have, how they are found, and the two that are bundled.

A model is a class registered by entry point:

    [project.entry-points."triplane.models"]
    my_model = "my_package.my_module:MyModel"

It is constructed without arguments in a child process of its own, one process per simulation; see `Model`.
"""

from triplane.models.installed import installed_models, load_code, load_model
from triplane.models.interface import Columns, InvalidInput, Model, Recorder

__all__ = ["Columns", "InvalidInput", "Model", "Recorder", "installed_models", "load_code", "load_model"]
