-- Namespaces are made, changed and deleted while serving.
ALTER TABLE namespaces ADD COLUMN external_storage BLOB;
ALTER TABLE namespaces ADD COLUMN is_going INTEGER NOT NULL DEFAULT 0;

-- Runs that are gone for everybody, and whose rows in the other tables are still to be removed.
CREATE TABLE gone_runs (
    run INTEGER PRIMARY KEY
) STRICT;
