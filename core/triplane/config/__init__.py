"""One `triplane.toml`, one model, one list of errors."""

from triplane.config.loading import ConfigError, Problem, find_file, load, load_data_dir
from triplane.config.model import Config, ConfigPath, Section, model_for, setting
from triplane.config.plugins import NoSettings, installed_model, load_adapters, load_group

__all__ = [
    "Config", "ConfigError", "ConfigPath", "NoSettings", "Problem", "Section", "find_file", "installed_model", "load",
    "load_adapters", "load_data_dir", "load_group", "model_for", "setting",
]  # fmt: skip
