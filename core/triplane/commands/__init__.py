"""Every command of the core, by name. What is not in this table (or an engine's own) is denied."""

from triplane.commands.base import Access, Command, Query, Request, RunCommand, Scope
from triplane.commands.cancelling import CANCELLING_COMMANDS
from triplane.commands.fleet import FLEET_COMMANDS
from triplane.commands.graphs import GRAPH_COMMANDS, Broadcast, ReloadRun, ScheduleStop, SendExternalTrigger, SetHoldPoint
from triplane.commands.jobs import JOB_COMMANDS, ReadJobLog
from triplane.commands.keys import KEY_COMMANDS, ListKeys, RevokeKey, RotateKeys
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
from triplane.commands.passes import PASS_COMMANDS
from triplane.commands.process import ReloadConfig, StopGateway
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
from triplane.commands.sessions import SESSION_COMMANDS
from triplane.commands.streams import AppendStream, ChangeStream, CloseStream, ReadStream
from triplane.commands.system import (
    ChildClosed,
    ContinueStep,
    DefinitionRead,
    FireTimer,
    JobSubmitFailed,
    JobSubmitted,
    ModelFailed,
    ModelRecorded,
    ModelStarted,
    ModelStepped,
    XtriggerAnswered,
)
from triplane.commands.tasks import HoldTasks, KillTasks, PollTasks, ReleaseTasks, RemoveTasks, SetTasks, TriggerTasks
from triplane.commands.tokens import TOKEN_COMMANDS, CreateToken, RevokeToken
from triplane.commands.visibility import ArchiveRun, DefineSearchAttribute, RedriveRun, RemoveSearchAttribute
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
    HoldTasks, ReleaseTasks, TriggerTasks, SetTasks, RemoveTasks, KillTasks, PollTasks, DescribeAgent, *GRAPH_COMMANDS,
    SignalRun, AppendMessage, UpdateRun, AwaitUpdate, QueryRun, ReportJob, AppendStream, CloseStream, ReadStream,
    RegisterWorker, HeartbeatWorker, DeregisterWorker, PollTask, CompleteWorkflowTask, FailWorkflowTask,
    HeartbeatWorkflowTask, ReadTaskHistory, CompleteActivity, FailActivity, HeartbeatActivity, CompleteQuery, FailQuery,
    StartChildRun, ChildClosed, ExecuteOperation, LeaseTask, ReleaseLease, ChangeStream, FireTimer, ContinueStep, JobSubmitted,
    JobSubmitFailed,
    ApproveUpdate, RejectUpdate, RemoveWorker, *FLEET_COMMANDS, *SESSION_COMMANDS, *CANCELLING_COMMANDS,
    XtriggerAnswered, DefinitionRead, ModelStarted, ModelStepped, ModelRecorded, ModelFailed, *SCHEDULE_COMMANDS,
    *PASS_COMMANDS, *JOB_COMMANDS,
    CreateNamespace, UpdateNamespace, DeleteNamespace, SetExternalStorage, ProbeExternalStorage, RetentionPass,
    DefineSearchAttribute, RemoveSearchAttribute, ArchiveRun, RedriveRun, StopGateway, ReloadConfig, *TOKEN_COMMANDS, *KEY_COMMANDS,
)  # fmt: skip

__all__ = [
    "ALL_COMMANDS", "Access", "AppendMessage", "AppendStream", "ApproveUpdate", "ArchiveRun", "AwaitUpdate", "BackfillSchedule",
    "Broadcast", "ChangeStream", "ChildClosed", "CloseStream", "Command", "CompleteActivity", "CompleteQuery", "CompleteWorkflowTask",
    "ContinueStep",
    "CreateNamespace", "CreateSchedule", "CreateToken", "DefinitionRead", "DefineSearchAttribute", "DeleteNamespace", "DeleteSchedule",
    "DeregisterTables", "DeregisterWorker", "DescribeAgent", "DuplicatePolicy", "ExecuteOperation",
    "FailActivity", "FailQuery", "FailWorkflowTask", "FireTimer", "HeartbeatActivity", "HeartbeatWorker",
    "HeartbeatWorkflowTask", "HoldTasks", "JobSubmitFailed", "JobSubmitted", "KillTasks", "LeaseTask", "ListKeys", "ModelFailed",
    "ModelRecorded", "ModelStarted", "ModelStepped", "PauseRun", "PauseSchedule", "PlayRun", "PollTask", "PollTasks",
    "ProbeExternalStorage", "Query", "QueryRun", "ReadJobLog", "ReadStream",
    "ReadTaskHistory", "RedriveRun", "RegisterTables", "RegisterWorker",
    "RejectUpdate", "ReleaseLease", "ReleaseTasks", "ReloadConfig", "ReloadRun", "RemoveSearchAttribute", "RemoveTasks", "RemoveWorker",
    "ReportJob", "Request",
    "ResumeRun", "ResumeSchedule", "RetentionPass", "RevokeKey", "RevokeToken", "RotateKeys", "RunCommand", "ScheduleStop", "Scope",
    "SendExternalTrigger",
    "SetExternalStorage", "SetHoldPoint",
    "SetRepeatingActions", "SetTasks", "SignalRun", "StartChildRun", "StartRun", "StopGateway", "StopMode", "StopRun", "TriggerSchedule",
    "TriggerTasks", "UpdateNamespace", "UpdateRun", "UpdateSchedule", "XtriggerAnswered",
]  # fmt: skip
