// purpose: Remove persona vectors of a batch of users.
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (u:User {id: id})
REMOVE u.{{property}}
