// purpose: Shared nodes of a label that no relation touches.
// parameters: -
// columns: id
// mode: read
MATCH (n:{{label}})
WHERE n.dataset IS NULL AND NOT EXISTS { (n)--() }
RETURN n.id AS id
