// purpose: Relations of one type that leave the sources of a batch.
// parameters: ids (list of string)
// columns: source, target, properties
// mode: read
UNWIND $ids AS id
MATCH (a:{{source}} {id: id})-[r:{{type}}]->(b:{{target}})
RETURN a.id AS source, b.id AS target, properties(r) AS properties
