// purpose: Properties of the nodes of a batch that exist.
// parameters: ids (list of string)
// columns: id, properties
// mode: read
UNWIND $ids AS id
MATCH (n:{{label}} {id: id})
RETURN n.id AS id, properties(n) AS properties
