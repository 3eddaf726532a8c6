// purpose: Remove persona vectors of a batch of users (SET to null: the embedded engine passes over REMOVE of a quoted name in silence).
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (u:User {id: id})
SET u.{{property}} = null
