-- What lists of runs can be asked about, beside the runs' own columns.
CREATE TABLE search_attributes (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    created   REAL NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- One row for each value, only of runs that have any. `form` is text, number, bool (0 or 1) or moment (microseconds).
CREATE TABLE run_attributes (
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    form      TEXT    NOT NULL,
    value     ANY     NOT NULL,
    run       INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, form, value, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_of_run ON run_attributes (run, name);

-- Few among many, and what operators look for most.
CREATE INDEX runs_ended_badly ON runs (namespace, key) WHERE is_newest AND status IN ('failed', 'cancelled', 'terminated');
