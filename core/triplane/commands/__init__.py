"""Every command of the core, by name. What is not in this table (or an engine's own) is denied."""

from triplane.commands.base import Access, Command, Query, Request, RunCommand, Scope
from triplane.commands.messages import AppendMessage, AwaitUpdate, QueryRun, ReportJob, SignalRun, UpdateRun
from triplane.commands.models import DescribeAgent
from triplane.commands.namespaces import (
    CreateNamespace,
    DeleteNamespace,
    ProbeExternalStorage,
    RetentionPass,
    SetExternalStorage,
    UpdateNamespace,
)
from triplane.commands.operations import ExecuteOperation
from triplane.commands.runs import (
    DeregisterTables,
    DuplicatePolicy,
    PauseRun,
    PlayRun,
    RegisterTables,
    ResumeRun,
    SetRepeatingActions,
    StartChildRun,
    StartRun,
    StopMode,
    StopRun,
)
from triplane.commands.schedules import (
    SCHEDULE_COMMANDS,
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
    UpdateSchedule,
)
from triplane.commands.system import (
    ChildClosed,
    ContinueStep,
    ExposeRun,
    FireTimer,
    JobSubmitFailed,
    JobSubmitted,
    ModelFailed,
    ModelStarted,
    ModelStepped,
)
from triplane.commands.tasks import HoldTasks, KillTasks, PollTasks, ReleaseTasks, TriggerTasks
from triplane.commands.workers import (
    ApproveUpdate,
    CompleteActivity,
    CompleteQuery,
    CompleteWorkflowTask,
    DeregisterWorker,
    FailActivity,
    FailQuery,
    FailWorkflowTask,
    HeartbeatActivity,
    HeartbeatWorker,
    HeartbeatWorkflowTask,
    LeaseTask,
    PollTask,
    ReadTaskHistory,
    RegisterWorker,
    RejectUpdate,
    ReleaseLease,
    RemoveWorker,
)

ALL_COMMANDS: tuple[type[Command], ...] = (
    StartRun, PlayRun, StopRun, PauseRun, ResumeRun, SetRepeatingActions, RegisterTables, DeregisterTables,
    HoldTasks, ReleaseTasks, TriggerTasks, KillTasks, PollTasks, DescribeAgent,
    SignalRun, AppendMessage, UpdateRun, AwaitUpdate, QueryRun, ReportJob,
    RegisterWorker, HeartbeatWorker, DeregisterWorker, PollTask, CompleteWorkflowTask, FailWorkflowTask,
    HeartbeatWorkflowTask, ReadTaskHistory, CompleteActivity, FailActivity, HeartbeatActivity, CompleteQuery, FailQuery,
    StartChildRun, ChildClosed, ExecuteOperation, LeaseTask, ReleaseLease, FireTimer, ContinueStep, JobSubmitted, JobSubmitFailed,
    ApproveUpdate, RejectUpdate, RemoveWorker,
    ModelStarted, ModelStepped, ModelFailed, ExposeRun, *SCHEDULE_COMMANDS,
    CreateNamespace, UpdateNamespace, DeleteNamespace, SetExternalStorage, ProbeExternalStorage, RetentionPass,
)  # fmt: skip

__all__ = [
    "BackfillSchedule", "CreateSchedule", "DeleteSchedule", "PauseSchedule", "ResumeSchedule", "TriggerSchedule", "UpdateSchedule",
    "ALL_COMMANDS", "Access", "AppendMessage", "ApproveUpdate", "AwaitUpdate", "ChildClosed", "Command", "CompleteActivity",
    "CompleteQuery", "CompleteWorkflowTask",
    "ContinueStep", "DeregisterTables", "DeregisterWorker", "DescribeAgent", "DuplicatePolicy", "ExposeRun", "FailActivity", "FailQuery",
    "FailWorkflowTask", "FireTimer", "HeartbeatActivity", "HeartbeatWorker", "HeartbeatWorkflowTask", "HoldTasks",
    "ExecuteOperation", "StartChildRun",
    "JobSubmitFailed", "JobSubmitted", "KillTasks", "LeaseTask", "ModelFailed", "ModelStarted", "ModelStepped",
    "PauseRun", "PlayRun", "PollTask", "PollTasks", "Query", "QueryRun", "ReadTaskHistory", "RegisterTables",
    "RegisterWorker", "RejectUpdate", "ReleaseLease", "ReleaseTasks", "RemoveWorker",
    "ReportJob", "Request", "ResumeRun", "RunCommand", "Scope",
    "SetRepeatingActions", "SignalRun", "StartRun", "StopMode", "StopRun", "TriggerTasks", "UpdateRun",
    "CreateNamespace", "DeleteNamespace", "ProbeExternalStorage", "RetentionPass", "SetExternalStorage", "UpdateNamespace",
]  # fmt: skip
