"""`[engines.durable]`: leases, limits and waits of durable runs and of the matching that serves their workers."""

from triplane.config.model import Section, setting


class DurableSettings(Section):
    """Durable runs and their workers."""

    workflow_task_lease_s: float = setting(
        60.0, "How long a worker may take over a workflow task before another gets it.", unit="seconds", reload="hot", gt=0, le=3_600
    )
    activity_lease_s: float = setting(
        300.0,
        "How long an activity attempt without timeouts of its own may stay silent before it is given to another worker.",
        unit="seconds", reload="hot", gt=0, le=86_400,
    )  # fmt: skip
    backoff_first_s: float = setting(
        1.0, "Wait before a failed workflow task is tried again; doubles each time.", unit="seconds", reload="hot", gt=0, le=600
    )
    backoff_most_s: float = setting(60.0, "The longest of these waits.", unit="seconds", reload="hot", gt=0, le=3_600)
    query_timeout_s: float = setting(
        30.0, "How long a query waits for its worker at most.", unit="seconds", reload="hot", gt=0, le=60
    )
    update_validation_timeout_s: float = setting(
        30.0, "How long an update waits for its worker's validator at most.", unit="seconds", reload="hot", gt=0, le=60
    )
    worker_stale_s: float = setting(
        120.0, "A worker that has not been heard of for so long counts as gone.", unit="seconds", reload="hot", gt=0, le=86_400
    )
    worker_forget_s: float = setting(
        86_400.0,
        "A worker that has not been heard of for so long is taken off the list.",
        unit="seconds", reload="hot", gt=0, le=365 * 86_400,
    )  # fmt: skip
    handover_s: float = setting(
        5.0,
        "How long a task that was handed to a poll whose client hung up waits for the same poll to come again.",
        unit="seconds", reload="hot", ge=0, le=60,
    )  # fmt: skip
    max_payload_bytes: int = setting(
        2 * 1024 * 1024, "The largest payload a run takes in or gives out.", unit="bytes", reload="hot", ge=1_024, le=64 * 1024 * 1024
    )
    max_history_events: int = setting(
        50_000, "A run with so long a history takes no more signals and updates.", reload="hot", ge=100, le=1_000_000
    )
    max_pending_activities: int = setting(
        2_000, "Activities and timers of one run open at the same time.", reload="hot", ge=1, le=10_000
    )
    max_message_streams: int = setting(100, "Message streams of one run.", reload="hot", ge=1, le=10_000)
    max_pending_messages: int = setting(
        1_000, "Messages of one run's streams that its workflow has not read yet.", reload="hot", ge=1, le=10_000
    )
    cleanup_s: float = setting(
        600.0,
        "How long a cancelled workflow may clean up where neither the request nor the run's timeouts say.",
        unit="seconds", reload="hot", gt=0, le=86_400,
    )  # fmt: skip
    max_pending_children: int = setting(2_000, "Children of one run open at the same time.", reload="hot", ge=1, le=10_000)
    max_child_depth: int = setting(100, "How deep children of children may go.", reload="hot", ge=1, le=10_000)
    max_streams: int = setting(100, "Output streams of one run.", reload="hot", ge=1, le=10_000)
    max_stream_items: int = setting(100_000, "Items that one output stream holds.", reload="hot", ge=1, le=10_000_000)
    max_pending_updates: int = setting(200, "Accepted updates of one run not completed yet.", reload="hot", ge=1, le=10_000)
    max_waiting_polls: int = setting(5_000, "Long polls that wait at the same time.", reload="hot", ge=1, le=100_000)
    max_waiting_queries: int = setting(
        500, "Queries, and update validations, that wait for workers at the same time.", reload="hot", ge=1, le=100_000
    )
    max_queries_per_queue: int = setting(200, "How many of these wait on one task queue.", reload="hot", ge=1, le=100_000)
    max_worker_sessions: int = setting(
        10_000, "Worker sessions that are held or lost at the same time.", reload="hot", ge=1, le=1_000_000
    )
    max_workers: int = setting(10_000, "Workers registered at the same time.", reload="hot", ge=1, le=1_000_000)
