// purpose: All relations of a type between two labels.
// parameters: -
// columns: source, target, properties
// mode: read
MATCH (a:{{source}})-[r:{{type}}]->(b:{{target}})
RETURN a.id AS source, b.id AS target, properties(r) AS properties
