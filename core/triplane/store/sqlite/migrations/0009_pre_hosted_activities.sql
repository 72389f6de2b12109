-- Runs that host a standalone activity are listed apart from all others, and may be few among very many.
CREATE INDEX runs_hosting ON runs (namespace, key) WHERE is_newest AND workflow_type = 'dw.standalone_activity';
