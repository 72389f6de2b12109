"""Recorded requests and answers, and runs like the ones that the answers came from."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from triplane.entities import Job, RunDetail, Task, evolve
from triplane_cylc.datastore import FaceIdentity, FaceStore
from unit.cylc_datastore.runs import RUN, Ticks

FOLDER = Path(__file__).parents[2] / "golden" / "cylc_graphql"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
IDENTITY = FaceIdentity("user", "demo", "localhost", 43098, 43051, "/home/user/cylc-run/demo")

DEFINITION = {
    "title": "Demo workflow",
    "description": "three cycling tasks",
    "user_defined": {"custom_key": "custom value"},
    "families": {"root": {}, "FAM": {"parents": ["root"], "title": "family FAM"}},
    "tasks": {
        "a": {"families": ["FAM", "root"], "title": "family FAM", "completion": "(succeeded and x)"},
        "b": {"families": ["FAM", "root"], "title": "family FAM"},
        "c": {},
        "bad": {},
        "handler": {},
        "slow": {},
        "exty": {},
    },
}
FLAGS = {"isHeld": "is_held", "isQueued": "is_queued", "isRunahead": "is_runahead"}


def recorded(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def task_proxies(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The task proxies in an answer, wherever its query has them."""
    data = answer.get("data") or {}
    workflows = data.get("workflows") or [{}]
    return data.get("taskProxies") or workflows[0].get("taskProxies") or []


def equivalent_store(answer: dict[str, Any]) -> FaceStore:
    """A face of a run that has the tasks and jobs of a recorded answer."""
    tasks, jobs = [], []
    for proxy in task_proxies(answer) or [{"id": "~user/demo//1/a", "state": "running"}]:
        cycle, name = proxy["id"].split("//")[1].split("/")
        tasks.append(
            Task(
                cycle=cycle,
                name=name,
                seq=len(tasks) + 1,
                state=proxy.get("state", "waiting"),
                updated=1.0,
                submit_num=proxy.get("jobSubmits", len(proxy.get("jobs", ()))),
                flow_nums=proxy.get("flowNums", "[1]"),
                detail={"prerequisites": _prerequisites(proxy), "outputs": proxy.get("outputs", [])},
                **{ours: proxy[theirs] for theirs, ours in FLAGS.items() if theirs in proxy},
            )
        )
        jobs += [_job(cycle, name, job) for job in proxy.get("jobs", ())]
    return FaceStore(IDENTITY, evolve(RUN, status_message="running to stop at 6"), RunDetail(definition=DEFINITION), tasks, jobs, Ticks())


def _prerequisites(proxy: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"task": condition["taskId"], "output": condition["reqState"], "satisfied": condition["satisfied"]}
        for prerequisite in proxy.get("prerequisites", ())
        for condition in prerequisite["conditions"]
    ]


def _job(cycle: str, name: str, job: dict[str, Any]) -> Job:
    return Job(
        cycle=cycle,
        name=name,
        submit_num=job["submitNum"],
        seq=1,
        state=job["state"],
        platform=job["platform"],
        job_id=job["jobId"],
        submitted=_seconds(job.get("submittedTime")),
        started=_seconds(job["startedTime"]),
        finished=_seconds(job["finishedTime"]),
    )


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
