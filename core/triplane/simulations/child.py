"""The child process of one simulation: `python -m triplane.simulations.child`, run by a keeper, which sets its limits.

Requests come on standard input and answers go to what was standard output; both are framed. Whatever the model prints
goes to standard error, so that it cannot spoil an answer.

    {"do": "load", "model", "code", "source", "simulation_id", "resume", "checkpoint"} → {"did": "load", "steps", "info", "tables"}
    {"do": "step", "step"} → {"did": "step", "step", "tables", "checkpoint", "finished", "summary"}
    {"do": "describe", "model"} → {"did": "describe", "annotations"}
    any failure → {"did": "fail", "reason"}
"""

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

from triplane.models.installed import installed_models, load_code, load_model
from triplane.models.interface import InvalidInput, Model, Recorder
from triplane.simulations.framing import LENGTH, Decoder, encode

MAX_REQUEST_BYTES = 1 << 26
MAX_REASON = 2_000


def main() -> None:
    """Serve requests until the input ends."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    simulation = Simulation()
    while (request := _read(requests)) is not None:
        try:
            answer = encode(simulation.answer(request))
        except InvalidInput as error:
            answer = _failure(f"the input was refused: {error}")
        except Exception as error:
            traceback.print_exc()
            answer = _failure(f"the model failed: {type(error).__name__}: {error}")
        _write(answers, answer)
    # A native simulator may crash in its exit handlers, after all is done: leave without them.
    sys.stderr.flush()
    os._exit(0)


class Simulation:
    """One model and how far it has come."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._recorder = Recorder()
        self._steps = 0

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked.

        Raises:
            InvalidInput, and whatever the model raises.
        """
        match request["do"]:
            case "load":
                return self._load(request)
            case "step":
                return self._step(int(request["step"]))
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
            tables = []
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


def _failure(reason: str) -> bytes:
    return encode({"did": "fail", "reason": reason[:MAX_REASON]})


def _write(stream: BinaryIO, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[stream.write(view) or 0 :]


if __name__ == "__main__":
    main()
