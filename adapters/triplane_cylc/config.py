"""`[adapters.cylc]` in triplane.toml."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from triplane.config.model import setting

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name, an address, or 'auto'")
    return value


class CylcConfig(BaseModel):
    """The Cylc wire: where its faces listen, and which runs get one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = setting(True, "Whether this wire is served.")
    host: Annotated[str, AfterValidator(_host)] = setting(
        "auto",
        "The host that contact files name; `auto` is this machine's name as Cylc computes it, and `localhost` will do while no "
        "platform is remote.",
        min_length=1,
    )
    ports: tuple[int, int] = setting((43001, 43100), "First and last TCP port for faces; each face takes two.", unit="port")
    namespace: str = setting(
        "default", "The namespace whose runs have faces; the wire has no namespaces of its own.", pattern=r"^[A-Za-z0-9._-]{1,128}$"
    )
    expose: tuple[str, ...] = setting(
        ("*",),
        "Globs of the workflow types of durable runs that get a face; graphs and simulations always do.",
        reload="hot",
        max_length=1_000,
    )
    expose_after_s: float = setting(
        5.0, "How long a durable run has been open before it gets a face.", unit="seconds", reload="hot", ge=0, le=86_400
    )
    max_faces: int = setting(40, "Faces open at once; graphs and simulations come first.", reload="hot", ge=1, le=1_000)
    faces_per_s: float = setting(
        5.0, "How fast faces are made, so that a burst of runs does not slow the gateway.", unit="1/second", gt=0, le=1_000
    )
    face_retention_s: float = setting(
        3_600.0,
        "How long the run directory of a closed run is kept; a graph's own files stay after that.",
        unit="seconds",
        reload="hot",
        ge=0,
        le=31_536_000,
    )
    max_request_bytes: int = setting(
        2_097_152, "Largest request of a client; one that sends more is cut off.", unit="bytes", ge=65_536, le=67_108_864
    )
    requests_per_s: float = setting(
        20_000.0, "Requests of one connection; what comes beyond is answered with an error.", unit="1/second", ge=1, le=1_000_000
    )
    handshakes_per_s: float = setting(
        2_000.0,
        "New connections from one address over all faces; what comes beyond is refused, and clients try again by themselves.",
        unit="1/second",
        ge=1,
        le=1_000_000,
    )
    http_host: Annotated[str, AfterValidator(_host)] = setting("127.0.0.1", "Where GraphQL over HTTP listens.", min_length=1)
    http_port: int = setting(
        0, "TCP port of GraphQL over HTTP (`/graphql`, POST and websocket); 0 is not at all.", unit="port", ge=0, le=65_535
    )
    http_allowed_origins: tuple[str, ...] = setting(
        (), "Origins besides loopback ones whose pages may call `/graphql`.", max_length=100
    )
    window_tasks: int = setting(
        100_000,
        "Tasks of a graph in view at once; where more are near active ones, only the active ones are shown.",
        ge=1,
        le=10_000_000,
    )
    ended_tasks: int = setting(
        1_000, "Ended activities, timers and children of a durable run that stay in view.", ge=0, le=1_000_000
    )
    run_dir_definition: Literal["stub", "real"] = setting(
        "stub", "What `flow.cylc` in a face's directory is: a stub that no scheduler can start by mistake, or the definition itself."
    )

    @field_validator("ports")
    @classmethod
    def _a_range(cls, ports: tuple[int, int]) -> tuple[int, int]:
        first, last = ports
        if not 1024 <= first <= last <= 65_535:
            raise ValueError("must be two ports between 1024 and 65535, the lower one first")
        if last - first < 1:
            raise ValueError("must hold at least two ports, as one face takes two")
        return ports
