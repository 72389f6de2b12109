-- What the latest small steps of runs added to their tables, and their checkpoints: one row a step, so that a step changes
-- one page here instead of one for each table. Moved to `table_rows` and `checkpoints` many steps at a time.
CREATE TABLE run_tails (
    run    INTEGER NOT NULL,
    number INTEGER NOT NULL,
    body   BLOB    NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- Keys of runs whose own row may be of a later commit than `cursor`: a JSON list, short.
ALTER TABLE position ADD COLUMN ahead TEXT NOT NULL DEFAULT '[]';
