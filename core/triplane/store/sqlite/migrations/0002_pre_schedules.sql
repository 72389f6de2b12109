-- Schedules, deleted ones too, and what happened to them; sequences go on when a deleted schedule's id is used anew.
CREATE TABLE schedules (
    namespace     TEXT    NOT NULL,
    schedule_id   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    engine        TEXT    NOT NULL,
    workflow_type TEXT    NOT NULL,
    deleted       INTEGER NOT NULL,
    body          BLOB    NOT NULL,
    PRIMARY KEY (namespace, schedule_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule_events (
    namespace   TEXT    NOT NULL,
    schedule_id TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    time        REAL    NOT NULL,
    name        TEXT    NOT NULL,
    workflow_id TEXT    NOT NULL,
    run_id      TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    PRIMARY KEY (namespace, schedule_id, sequence)
) STRICT, WITHOUT ROWID;
