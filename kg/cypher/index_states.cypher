// purpose: State of every index.
// parameters: -
// columns: name, state
// mode: read
SHOW INDEXES YIELD name, state RETURN name, state
