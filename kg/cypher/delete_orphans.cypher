// purpose: Delete those nodes of a batch that no relation touches.
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (n:{{label}} {id: id})
WHERE n.dataset IS NULL AND NOT EXISTS { (n)--() }
DELETE n
