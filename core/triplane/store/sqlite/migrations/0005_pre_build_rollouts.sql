-- What an operator has said of a build on a task queue; an empty build is that of workers that name none.
CREATE TABLE build_rollouts (
    namespace  TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    build_id   TEXT NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (namespace, task_queue, build_id)
) STRICT, WITHOUT ROWID;
