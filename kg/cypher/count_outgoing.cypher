// purpose: How many relations leave each node of a batch, for those that any leaves.
// parameters: ids (list of string)
// columns: id, total
// mode: read
UNWIND $ids AS id
MATCH (a:{{label}} {id: id})-[r]->(b)
RETURN a.id AS id, count(r) AS total
