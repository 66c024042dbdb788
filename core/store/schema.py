"""The tables. Times are REAL seconds since 1970; JSON is text; `crc` is zlib.crc32 over what the comment names."""

SCHEMA_VERSION = 3
"""Kept in `PRAGMA user_version`. A database with a higher one is refused."""

APPLICATION_ID = 0x526F6E64
"""`PRAGMA application_id`: the letters Rond, so that another program's file is not taken for ours."""

SCHEMA = """
-- What the file says of itself; `written_by` is the version of Rondo that made or last migrated it, `last_run` and
-- `last_line` are the highest numbers that may not be given again.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row a run. `number` is the key that other tables use; `line` its present line.
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    reversed_id TEXT NOT NULL UNIQUE,        -- the id from its end: short forms are looked up by it
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    line INTEGER,
    until TEXT NOT NULL DEFAULT 'end',
    source TEXT NOT NULL DEFAULT '',
    inputs TEXT NOT NULL DEFAULT '{}',       -- JSON; '' where they are in the table of large inputs
    presets TEXT NOT NULL DEFAULT '[]',      -- [[request_id, value], ...] given at the start
    priority INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    node TEXT,                               -- where it is at rest or where it ended
    error TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    pid INTEGER,
    pid_started INTEGER,                     -- start time of that process, in the system's ticks
    logs_dropped INTEGER NOT NULL DEFAULT 0,
    parent_run INTEGER,                      -- of a subflow: the number of the run whose node waits for this one,
    parent_node TEXT,                        -- the node,
    parent_visit INTEGER,                    -- and its visit
    replay TEXT NOT NULL DEFAULT '',         -- what its calls are answered from, in words, where it is a replay
    pause_reason TEXT NOT NULL DEFAULT ''    -- why it paused by itself, or will; empty where a person paused it
);
CREATE INDEX runs_by_parent ON runs(parent_run, number) WHERE parent_run IS NOT NULL;
CREATE INDEX runs_by_workflow ON runs(workflow, number);
CREATE INDEX runs_by_workflow_status ON runs(workflow, status, number);
CREATE INDEX runs_by_status ON runs(status, number);

-- Inputs of runs that are too large for the run's row, as a delta from nothing; size is that of their JSON text.
CREATE TABLE inputs (
    run INTEGER PRIMARY KEY REFERENCES runs(number),
    size INTEGER NOT NULL,
    operations BLOB NOT NULL,
    blobs BLOB NOT NULL                      -- 32-byte hashes, one after the other
);

-- One history of a run; a fork's first line names a line of another run as its parent.
CREATE TABLE lines (
    line INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs(number),
    parent_line INTEGER,
    parent_seq INTEGER,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    error TEXT
);
CREATE INDEX lines_by_run ON lines(run, line);
CREATE INDEX lines_by_parent ON lines(parent_line) WHERE parent_line IS NOT NULL;

-- One completed visit a row; seq 0 is the initial state, set key by key. crc over delta and own.
CREATE TABLE steps (
    line INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    node TEXT NOT NULL,
    visit INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    next TEXT,
    routing TEXT NOT NULL DEFAULT '',        -- {reason, condition, errors, taken, refused} unless just "default"
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0,
    delta BLOB NOT NULL,
    blobs BLOB NOT NULL DEFAULT x'',         -- 32-byte hashes, one after the other
    crc INTEGER NOT NULL,
    own BLOB NOT NULL DEFAULT x'',           -- mode dag: the node's own changes, where a reducer made others of them
    PRIMARY KEY (line, seq)
) WITHOUT ROWID;

-- Attempts that failed; `before_seq` is the seq the visit would have got.
-- error = {type, message, traceback, cause, next_step}
CREATE TABLE attempts (
    line INTEGER NOT NULL REFERENCES lines(line),
    before_seq INTEGER NOT NULL,
    node TEXT NOT NULL,
    visit INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (line, before_seq, node, visit, attempt)
) WITHOUT ROWID;

-- What runs wait for. `hash` covers kind, input type, prompt and options. status: open, answered, stale, withdrawn.
CREATE TABLE requests (
    number INTEGER PRIMARY KEY,
    line INTEGER NOT NULL REFERENCES lines(line),
    run INTEGER NOT NULL REFERENCES runs(number),
    node TEXT NOT NULL,
    visit INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    nth INTEGER NOT NULL,
    kind TEXT NOT NULL,
    hash TEXT NOT NULL,
    input_type TEXT NOT NULL,
    prompt TEXT,
    options TEXT NOT NULL DEFAULT 'null',
    status TEXT NOT NULL,
    opened_at REAL NOT NULL,
    answered_at REAL,
    answered_by TEXT,
    answer TEXT,
    problem TEXT NOT NULL DEFAULT '',
    due_at REAL                              -- when a request of kind timer is answered by itself
);
CREATE UNIQUE INDEX requests_live ON requests(line, node, visit, request_id, nth) WHERE status IN ('open', 'answered');
CREATE INDEX requests_by_run ON requests(run, number);
CREATE INDEX requests_by_line ON requests(line);  -- a line that goes looks for those that name it
CREATE INDEX requests_open ON requests(run, number) WHERE status = 'open';
CREATE INDEX requests_of_budgets ON requests(answered_at) WHERE kind = 'budget';

-- Nodes before which runs pause; run 0: every run of the workflow.
CREATE TABLE breakpoints (
    workflow TEXT NOT NULL,
    run INTEGER NOT NULL,
    node TEXT NOT NULL,
    set_at REAL NOT NULL,
    PRIMARY KEY (workflow, run, node)
) WITHOUT ROWID;

CREATE TABLE logs (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at REAL NOT NULL,
    level INTEGER NOT NULL,                  -- logging's numbers; 25 is EDGE
    stream TEXT NOT NULL,
    node TEXT NOT NULL,
    visit INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run, row)
) WITHOUT ROWID;

-- The whole state after step seq. crc over state.
CREATE TABLE snapshots (
    line INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (line, seq)
) WITHOUT ROWID;

-- Content-addressed values and files; hash is the 32-byte BLAKE2b of data, which is also the row's check.
CREATE TABLE blobs (
    hash BLOB PRIMARY KEY,
    data BLOB NOT NULL
);

-- Every version ever seen good or run. files = [[path, hex hash of the blob], ...]
CREATE TABLE versions (
    hash TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    graph TEXT NOT NULL,
    files TEXT NOT NULL,
    created_at REAL NOT NULL,
    imported INTEGER NOT NULL DEFAULT 0      -- 1: it came with a run from elsewhere, nobody here wrote or approved it
) WITHOUT ROWID;
CREATE INDEX versions_by_workflow ON versions(workflow, created_at);

-- Who did what; the id is the client's, and makes a repeated command act once.
CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    source TEXT NOT NULL,
    method TEXT NOT NULL,
    run TEXT,
    arguments TEXT NOT NULL,
    result TEXT
) WITHOUT ROWID;
CREATE INDEX commands_by_run ON commands(run) WHERE run IS NOT NULL;

-- What is left to be deleted of runs that are gone; what: line (steps, snapshots), run (log), blob, output (folder).
CREATE TABLE pruning (
    what TEXT NOT NULL,
    name NOT NULL,
    PRIMARY KEY (what, name)
) WITHOUT ROWID;

-- Calls of models, tools and addresses, of runs and of chats. key: the idempotency key of the visit that made it
-- (with .around where it was made outside of the execute phase), or the chat's id; with nth (of its calls with that
-- request) and hash (of the request) it finds the call again.
-- status: running, done, failed, replayed; or recorded: what a replayed run is answered from, which is no call of its.
-- request and reply are JSON, redacted, deflated; cost is in US dollars, NULL where it is not known.
CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    key TEXT NOT NULL,
    nth INTEGER NOT NULL,
    hash TEXT NOT NULL,
    run INTEGER,
    line INTEGER,
    node TEXT NOT NULL DEFAULT '',
    visit INTEGER NOT NULL DEFAULT 0,
    chat TEXT,
    model TEXT NOT NULL DEFAULT '',
    role TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL,
    ended_at REAL,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cost REAL,
    request BLOB NOT NULL,
    reply BLOB NOT NULL DEFAULT x'',
    error TEXT,
    crc INTEGER NOT NULL,                    -- over request and reply
    spent INTEGER NOT NULL DEFAULT 0         -- 1: the try that had it failed; recorded: the line it was given to
);
CREATE INDEX calls_by_key ON calls(key, nth, number);
CREATE INDEX calls_by_run ON calls(run, number) WHERE run IS NOT NULL;
CREATE INDEX calls_by_chat ON calls(chat, number) WHERE chat IS NOT NULL;
CREATE INDEX calls_by_time ON calls(started_at);

-- Conversations about a workflow (NULL: about none yet).
CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    workflow TEXT,
    title TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    busy INTEGER NOT NULL DEFAULT 0,         -- 1 while a turn goes on: what a killed engine left is told by it
    tainted INTEGER NOT NULL DEFAULT 0,      -- 1 where the present turn read what runs produced
    tries INTEGER NOT NULL DEFAULT 0         -- 1 where a person allowed that proposed code is run dry
) WITHOUT ROWID;
CREATE INDEX chats_by_workflow ON chats(workflow, updated_at);

-- What the assistant keeps of a conversation between turns: deflated JSON.
CREATE TABLE memories (
    chat TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID;

-- What was said, in order; content is JSON. replaced: 1 where an edit or a retry took its place.
CREATE TABLE entries (
    chat TEXT NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    revision INTEGER NOT NULL,
    replaced INTEGER NOT NULL DEFAULT 0,
    content BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (chat, number)
) WITHOUT ROWID;
CREATE INDEX entries_by_revision ON entries(chat, revision);

-- Changes that wait for a person, and those that were decided; content is deflated JSON, base NULL where there was no
-- workflow.
CREATE TABLE proposals (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    chat TEXT NOT NULL,
    workflow TEXT NOT NULL,
    status TEXT NOT NULL,
    base TEXT,
    created_at REAL NOT NULL,
    decided_at REAL,
    content BLOB NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX proposals_by_workflow ON proposals(workflow, status);
CREATE INDEX proposals_by_chat ON proposals(chat, created_at);

-- The journal of applied changes to workflows; before and after are versions, NULL where there was no workflow;
-- content is deflated JSON: the files that were changed, as they were before and after.
CREATE TABLE edits (
    number INTEGER PRIMARY KEY,
    workflow TEXT NOT NULL,
    at REAL NOT NULL,
    author TEXT NOT NULL,
    title TEXT NOT NULL,
    before TEXT,
    after TEXT,
    chat TEXT,
    proposal TEXT,
    undoes INTEGER,                          -- the edit that this one takes back
    undone_by INTEGER,
    content BLOB NOT NULL,
    crc INTEGER NOT NULL
);
CREATE INDEX edits_by_workflow ON edits(workflow, number);

-- A change to a workflow's files that has begun: the version it makes, and the command (id, method, arguments). It goes
-- with the edit's row; where one is left, the engine died between, and the next one notes what is in the folder.
CREATE TABLE changing (
    workflow TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    command TEXT NOT NULL,
    method TEXT NOT NULL,
    arguments TEXT NOT NULL
) WITHOUT ROWID;
"""
