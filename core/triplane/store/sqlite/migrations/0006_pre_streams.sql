-- Output streams of runs: the head of each, and its items in the order they were appended.
CREATE TABLE streams (
    run     INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    opened  REAL    NOT NULL,
    expires REAL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_expiring ON streams (expires) WHERE expires IS NOT NULL;

CREATE TABLE stream_items (
    run  INTEGER NOT NULL,
    name TEXT    NOT NULL,
    item INTEGER NOT NULL,
    key  TEXT,
    body BLOB    NOT NULL,
    PRIMARY KEY (run, name, item)
) STRICT, WITHOUT ROWID;
