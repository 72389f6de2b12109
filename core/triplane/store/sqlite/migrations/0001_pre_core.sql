-- Runs and what belongs to them. Children name their run by its small integer key: shorter rows, sequential pages.
CREATE TABLE runs (
    key            INTEGER PRIMARY KEY,
    run_id         TEXT    NOT NULL UNIQUE,
    namespace      TEXT    NOT NULL,
    workflow_id    TEXT    NOT NULL,
    run_number     INTEGER NOT NULL,
    engine         TEXT    NOT NULL,
    workflow_type  TEXT    NOT NULL,
    task_queue     TEXT    NOT NULL,
    is_newest      INTEGER NOT NULL,
    status         TEXT    NOT NULL,
    created        REAL    NOT NULL,
    updated        REAL    NOT NULL,
    closed         REAL,
    cursor         INTEGER NOT NULL,
    history_length INTEGER NOT NULL,
    history_head   BLOB    NOT NULL,
    body           BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_of_workflow ON runs (namespace, workflow_id, run_number);
CREATE INDEX runs_listed ON runs (namespace, key) WHERE is_newest;
CREATE INDEX runs_open ON runs (namespace, key) WHERE closed IS NULL;

CREATE TABLE run_details (
    run  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    run  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE histories (
    run      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    checksum BLOB    NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    run         INTEGER NOT NULL,
    cycle       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    updated     REAL    NOT NULL,
    is_held     INTEGER NOT NULL,
    is_queued   INTEGER NOT NULL,
    is_runahead INTEGER NOT NULL,
    submit_num  INTEGER NOT NULL,
    flow_nums   TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    PRIMARY KEY (run, cycle, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    run        INTEGER NOT NULL,
    cycle      TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    submit_num INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    platform   TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    submitted  REAL,
    started    REAL,
    finished   REAL,
    body       BLOB    NOT NULL,
    PRIMARY KEY (run, cycle, name, submit_num)
) STRICT, WITHOUT ROWID;

CREATE TABLE timers (
    run      INTEGER NOT NULL,
    timer_id TEXT    NOT NULL,
    fire_at  REAL    NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (run, timer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_tables (
    run     INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    columns BLOB    NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- A chunk of consecutive rows in one blob.
CREATE TABLE table_rows (
    run       INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    PRIMARY KEY (run, name, first_row)
) STRICT, WITHOUT ROWID;

-- Answered request ids in the order they came; `key` is a digest over principal, namespace and id.
CREATE TABLE requests (
    id         INTEGER PRIMARY KEY,
    key        BLOB NOT NULL UNIQUE,
    principal  TEXT NOT NULL,
    namespace  TEXT NOT NULL,
    request_id TEXT NOT NULL,
    digest     BLOB NOT NULL,
    command    TEXT NOT NULL,
    reply      BLOB NOT NULL,
    time       REAL NOT NULL
) STRICT;

CREATE TABLE workers (
    namespace  TEXT NOT NULL,
    worker_id  TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    registered REAL NOT NULL,
    heartbeat  REAL NOT NULL,
    info       BLOB NOT NULL,
    PRIMARY KEY (namespace, worker_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE namespaces (
    name           TEXT    PRIMARY KEY,
    description    TEXT    NOT NULL,
    retention_days INTEGER NOT NULL,
    created        REAL    NOT NULL,
    updated        REAL    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO namespaces VALUES ('default', 'Where runs go that name no namespace.', 30, unixepoch(), unixepoch());

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    time        REAL NOT NULL,
    namespace   TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    command     TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    principal   TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;

-- The position of the last commit in the one global order; a single row.
CREATE TABLE position (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    cursor INTEGER NOT NULL
) STRICT;
INSERT INTO position VALUES (1, 0);
