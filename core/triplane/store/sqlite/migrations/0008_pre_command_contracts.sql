-- What workers last said of their workflows' signals and updates.
CREATE TABLE command_contracts (
    namespace     TEXT NOT NULL,
    task_queue    TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    body          BLOB NOT NULL,
    PRIMARY KEY (namespace, task_queue, workflow_type)
) STRICT, WITHOUT ROWID;
