// Times are milliseconds since 1970. JSON columns hold shapes of electron/contract/schemas.ts.
export const migration = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE model (
  id TEXT PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  added_at INTEGER NOT NULL,
  -- Of the first part when it was inspected: the header is read again when one changes.
  size INTEGER NOT NULL DEFAULT -1,
  modified_at INTEGER NOT NULL DEFAULT -1,
  parts TEXT NOT NULL DEFAULT '[]',
  card TEXT,
  problem TEXT
) STRICT;

CREATE TABLE conversation (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,
  model_id TEXT,
  system_prompt TEXT NOT NULL,
  sampling TEXT NOT NULL,
  active_leaf_id TEXT
) STRICT;

CREATE TABLE message (
  row INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation_id TEXT NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
  parent_id TEXT REFERENCES message(id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  reasoning TEXT NOT NULL DEFAULT '',
  reasoning_ms REAL NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  model_id TEXT,
  state TEXT NOT NULL,
  error TEXT,
  stats TEXT
) STRICT;
CREATE INDEX message_of_conversation ON message(conversation_id, row);
CREATE INDEX message_of_parent ON message(parent_id);

-- Trigrams find parts of words and Chinese text alike. Answers are indexed once they are whole.
CREATE VIRTUAL TABLE message_fts USING fts5(content, content='message', content_rowid='row', tokenize='trigram');
CREATE TRIGGER message_indexed AFTER INSERT ON message WHEN new.state <> 'streaming' BEGIN
  INSERT INTO message_fts(rowid, content) VALUES (new.row, new.content);
END;
CREATE TRIGGER message_reindexed AFTER UPDATE OF content, state ON message BEGIN
  INSERT INTO message_fts(message_fts, rowid, content) SELECT 'delete', old.row, old.content WHERE old.state <> 'streaming';
  INSERT INTO message_fts(rowid, content) SELECT new.row, new.content WHERE new.state <> 'streaming';
END;
CREATE TRIGGER message_unindexed AFTER DELETE ON message WHEN old.state <> 'streaming' BEGIN
  INSERT INTO message_fts(message_fts, rowid, content) VALUES ('delete', old.row, old.content);
END;

CREATE TABLE token (
  hash TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT;
`
