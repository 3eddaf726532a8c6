// purpose: Drop an index.
// parameters: -
// columns: -
// mode: write
DROP INDEX {{index}} IF EXISTS
