// purpose: Relations of one type that leave a batch of nodes, as columns.
// parameters: ids (list of string)
// columns: sources, targets
// mode: read
UNWIND $ids AS id
MATCH (a:{{source}} {id: id})-[r:{{type}}]->(b:{{target}})
RETURN collect(a.id) AS sources, collect(b.id) AS targets
