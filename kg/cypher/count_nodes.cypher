// purpose: Number of nodes of a label.
// parameters: -
// columns: total
// mode: read
MATCH (n:{{label}}) RETURN count(n) AS total
