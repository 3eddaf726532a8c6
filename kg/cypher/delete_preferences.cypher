// purpose: Delete the preferences of one persona version of a batch of users.
// parameters: ids (list of string), model (string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (u:User {id: id})-[p:PREFERS]->(e)
WHERE p.model = $model
DELETE p
