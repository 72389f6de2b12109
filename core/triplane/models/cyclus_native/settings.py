"""`[engines.simulation.cyclus]` in triplane.toml."""

from pydantic import BaseModel, ConfigDict

from triplane.config.model import ConfigPath, setting


class CyclusSettings(BaseModel):
    """Where the native Cyclus simulator is. Without any of this it is looked for where the gateway itself runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: ConfigPath | None = setting(None, "Interpreter that can import `cyclus.lib`; else the gateway's own.")
    python_path: tuple[ConfigPath, ...] = setting((), "Folders to import from, before PYTHONPATH.", max_length=100)
    library_path: tuple[ConfigPath, ...] = setting((), "Folders with native libraries, before LD_LIBRARY_PATH.", max_length=100)
    cyclus_path: tuple[ConfigPath, ...] = setting(
        (), "Folders with agent libraries, one file for each, before the environment's CYCLUS_PATH.", max_length=100
    )
    nuclear_data: ConfigPath | None = setting(None, "File with nuclear data; else the environment's CYCLUS_NUC_DATA.")
    output_path: ConfigPath | None = setting(
        None, "File that every simulation's own output is added to, .h5 or .sqlite; else it is not kept. The tables are kept either way."
    )
    flush_s: float = setting(
        0.2,
        "How old rows may get before they are recorded while nobody asked to be told of every step; a step whose rows are recorded "
        "takes some milliseconds more.",
        unit="seconds", ge=0, le=60,
    )  # fmt: skip
