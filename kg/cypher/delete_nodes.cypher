// purpose: Delete the nodes of a batch, with what relations others have made to them.
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (n:{{label}} {id: id})
DETACH DELETE n
