// purpose: The names of a batch of entities that have one.
// parameters: ids (list of string)
// columns: id, name
// mode: read
UNWIND $ids AS id
MATCH (n:{{label}} {id: id})
WHERE n.name IS NOT NULL
RETURN n.id AS id, n.name AS name
