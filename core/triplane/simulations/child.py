"""The child process of one simulation: `python -m triplane.simulations.child`, run by a keeper, which sets its limits.

Requests come on standard input and answers go to what was standard output; both are framed. Whatever the model prints
goes to standard error, so that it cannot spoil an answer.

    {"do": "load", "model", "code", "source", "simulation_id", "resume", "checkpoint"} → {"did": "load", "steps", "info", "tables"}
    {"do": "step", "step", "ahead"} → {"did": "step", "step", "tables", "checkpoint", "finished", "summary"}
    {"do": "describe", "model"} → {"did": "describe", "annotations"}
    any failure → {"did": "fail", "reason"}

After a step, up to `ahead` further ones are computed and answered unasked. A request for one of those only lets it go on.
"""

import os
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

from triplane.models.installed import installed_models, load_code, load_model
from triplane.models.interface import InvalidInput, Model, Recorder
from triplane.simulations.framing import LENGTH, Decoder, encode

MAX_REQUEST_BYTES = 1 << 26
MAX_REASON = 2_000
MAX_AHEAD_BYTES = 1 << 20
"""Of answers that nobody has asked for yet; about."""

MAX_AHEAD_S = 0.1
"""How long after a request a further step may begin unasked: long steps are computed when it is their turn."""


def main() -> None:
    """Serve requests until the input ends."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    simulation = Simulation()
    unasked, until = 0, 0.0
    while True:
        if simulation.may_go_on and unasked < MAX_AHEAD_BYTES and time.monotonic() < until:
            request: dict[str, Any] | None = {"do": "step", "step": simulation.step + 1}
        else:
            request, unasked, until = _read(requests), 0, time.monotonic() + MAX_AHEAD_S
        if request is None:
            break
        try:
            answer = simulation.answer(request)
            frame = encode(answer) if answer is not None else b""
        except InvalidInput as error:
            frame = encode(simulation.fail(f"the input was refused: {error}"))
        except Exception as error:
            traceback.print_exc()
            frame = encode(simulation.fail(f"the model failed: {type(error).__name__}: {error}"))
        unasked += len(frame)
        _write(answers, frame)
    # A native simulator may crash in its exit handlers, after all is done: leave without them.
    sys.stderr.flush()
    os._exit(0)


class Simulation:
    """One model and how far it has come.

    Attributes:
        step: the last one computed.
    """

    def __init__(self) -> None:
        self._model: Model | None = None
        self._recorder = Recorder()
        self._steps = self._until = self.step = 0

    @property
    def may_go_on(self) -> bool:
        """Whether the next step may be computed before it is asked for."""
        return self.step < self._until

    def fail(self, reason: str) -> dict[str, Any]:
        """The answer that says so; nothing more is computed unasked."""
        self._until = 0
        return {"did": "fail", "reason": reason[:MAX_REASON]}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do what is asked; None where it is answered already.

        Raises:
            InvalidInput, and whatever the model raises.
        """
        match request["do"]:
            case "load":
                return self._load(request)
            case "step":
                number = int(request["step"])
                self._until = min(max(self._until, number + int(request.get("ahead", 0))), self._steps)
                return self._step(number) if number > self.step else None
            case "describe":
                model = load_model(_known(request["model"]))
                return {"did": "describe", "annotations": dict(model.annotations)}
        raise ValueError(f"unknown request {request['do']!r}")

    def _load(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kind = load_model(_known(request["model"])) if not request["code"] else load_code(request["model"], request["code"])
        model: Model = kind()
        self._steps = model.load(request["source"], request["simulation_id"], self._recorder)
        self._recorder.declare(model.tables)
        self._model = model
        tables = self._recorder.take()
        resume: int | None = request["resume"]
        if resume is not None:
            checkpoint = request["checkpoint"]
            first = 1
            if checkpoint is not None:
                model.restore(checkpoint["state"])
                first = checkpoint["step"] + 1
            # These steps are recorded already; they are computed again only to get to where the model was.
            for number in range(first, resume + 1):
                model.step(number, self._recorder)
                self._recorder.take()
            tables, self.step = [], resume
        info = {"pid": os.getpid(), "pace_s": float(model.pace_s), "checkpoints": model.checkpoint_every > 0}
        return {"did": "load", "steps": self._steps, "info": info, "tables": tables}

    def _step(self, number: int) -> dict[str, Any]:
        model = self._model
        if model is None:
            raise ValueError("a step was asked for before a load")
        answer: dict[str, Any] = {"did": "step", "step": number, "finished": number >= self._steps}
        if number <= self._steps:
            model.step(number, self._recorder)
        if answer["finished"]:
            answer["summary"] = dict(model.finish(self._recorder))
        answer["tables"] = self._recorder.take()
        if model.checkpoint_every and number % model.checkpoint_every == 0 and not answer["finished"]:
            answer["checkpoint"] = model.checkpoint()
        self.step = number
        return answer


def _known(name: str) -> str:
    if name not in installed_models():
        raise InvalidInput(f"no model {name!r} is installed; there are {', '.join(installed_models()) or 'none'}")
    return name


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = _exactly(stream, LENGTH.size)
    if head is None:
        return None
    body = _exactly(stream, LENGTH.unpack(head)[0])
    return Decoder(MAX_REQUEST_BYTES).feed(head + body)[0] if body is not None else None


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = stream.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(stream: BinaryIO, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[stream.write(view) or 0 :]


if __name__ == "__main__":
    main()
