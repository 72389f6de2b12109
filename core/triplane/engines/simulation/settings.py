"""`[engines.simulation]` in triplane.toml."""

from pydantic import BaseModel, ConfigDict, Field

from triplane.config.model import setting
from triplane.models.cyclus_native.settings import CyclusSettings


class SimulationSettings(BaseModel):
    """Limits of simulations' child processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    load_timeout_s: float = setting(60.0, "How long a model may take to load its input.", unit="seconds", gt=0, le=86_400)
    step_timeout_s: float = setting(60.0, "How long a model may take for one step before its run fails.", unit="seconds", gt=0, le=86_400)
    max_answer_bytes: int = setting(
        16 << 20, "The rows, checkpoint and result of one step, packed.", unit="bytes", ge=1 << 10, le=1 << 30
    )
    max_output_bytes: int = setting(
        1 << 20, "What a model may print in one step; beyond it the run fails.", unit="bytes", ge=1 << 10, le=1 << 30
    )
    memory_bytes: int = setting(
        4 << 30, "Address space of each process of a simulation; 0 for no limit.", unit="bytes", ge=0
    )
    max_processes: int = setting(
        32, "What one simulation may have running at once, with all that its model starts; beyond it the run fails.", ge=1, le=10_000
    )
    max_restarts: int = setting(
        5,
        "How often one run's model is taken up again when its process is lost. Beyond it the run fails.",
        ge=0, le=1_000_000,
    )
    steps_ahead: int = setting(
        16,
        "How many short steps a model may compute before they are recorded, while no pause, hold or pace is in the way; 0 for none.",
        ge=0, le=100,
    )
    max_children: int = setting(64, "Child processes at once; further simulations wait for one to end.", ge=1, le=10_000)
    environment: tuple[str, ...] = setting(
        ("CYCLUS_PATH", "CYCLUS_NUC_DATA"),
        "Environment variables that children get beside PATH, LANG, LC_ALL, TZ, LD_LIBRARY_PATH and PYTHONPATH; nothing else is passed on.",
        max_length=100,
    )
    cyclus: CyclusSettings = Field(default_factory=CyclusSettings)
