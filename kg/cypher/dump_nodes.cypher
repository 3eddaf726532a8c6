// purpose: All nodes of a label.
// parameters: -
// columns: id, properties
// mode: read
MATCH (n:{{label}}) RETURN n.id AS id, properties(n) AS properties
