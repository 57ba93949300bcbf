// What machines were measured to do at most, by processor, instruction set level and threads.
export const migration = `
CREATE TABLE calibration (machine TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`
