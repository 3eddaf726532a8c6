// purpose: Persona vectors of a batch of users.
// parameters: ids (list of string)
// columns: id, vector
// mode: read
UNWIND $ids AS id
MATCH (u:User {id: id})
WHERE u.{{property}} IS NOT NULL
RETURN u.id AS id, u.{{property}} AS vector
