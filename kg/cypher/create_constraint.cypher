// purpose: Make a label's id unique.
// parameters: -
// columns: -
// mode: write
CREATE CONSTRAINT {{constraint}} IF NOT EXISTS FOR (n:{{label}}) REQUIRE n.id IS UNIQUE
