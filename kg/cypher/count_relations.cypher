// purpose: Number of relations of a type.
// parameters: -
// columns: total
// mode: read
MATCH (a:{{source}})-[r:{{type}}]->(b) RETURN count(r) AS total
