// purpose: A user and the items that it touched, as columns; no row for an unknown user.
// parameters: user (string)
// columns: user, items, timestamps, rows
// mode: read
MATCH (u:User {id: $user})
OPTIONAL MATCH (u)-[r:RATED]->(i:{{label}})
RETURN u.id AS user, collect(i.id) AS items, collect(r.timestamp) AS timestamps, collect(r.row) AS rows
