// purpose: Interactions of a batch of users, as columns.
// parameters: ids (list of string)
// columns: users, items, timestamps, rows
// mode: read
UNWIND $ids AS id
MATCH (u:User {id: id})-[r:RATED]->(i:{{target}})
RETURN collect(u.id) AS users, collect(i.id) AS items, collect(r.timestamp) AS timestamps, collect(r.row) AS rows
