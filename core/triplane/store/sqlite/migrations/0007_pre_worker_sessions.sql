-- Sessions that workers hold.
CREATE TABLE worker_sessions (
    namespace  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (namespace, session_id)
) STRICT, WITHOUT ROWID;
