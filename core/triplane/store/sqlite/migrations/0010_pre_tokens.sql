-- Bearer tokens that were made by a command. Only their SHA-256 is kept. Revoked ones stay a while, so that lists tell of them.
CREATE TABLE tokens (
    name    TEXT PRIMARY KEY,
    sha256  BLOB NOT NULL UNIQUE,
    created REAL NOT NULL,
    expires REAL,
    revoked REAL,
    body    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
