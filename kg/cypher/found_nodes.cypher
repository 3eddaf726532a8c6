// purpose: The nodes of a batch that exist, each as a list of its id and the named properties.
// parameters: ids (list of string)
// columns: found
// mode: read
UNWIND $ids AS id
MATCH (x:{{label}} {id: id})
RETURN collect([x.id{{columns}}]) AS found
