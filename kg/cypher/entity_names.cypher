// purpose: Names of entities of a label.
// parameters: ids (list of string)
// columns: id, name
// mode: read
UNWIND $ids AS id
MATCH (e:{{label}} {id: id})
RETURN e.id AS id, coalesce(e.name, e.title, e.id) AS name
