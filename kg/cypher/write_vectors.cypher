// purpose: Write persona vectors of a batch of users.
// parameters: rows (list of {id, vector})
// columns: -
// mode: write
UNWIND $rows AS row
MATCH (u:User {id: row.id})
SET u.{{property}} = row.vector
