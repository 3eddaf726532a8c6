// purpose: Delete what a batch of users has to do with the prototypes of a persona version.
// parameters: ids (list of string), model (string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (u:User {id: id})-[r:RESEMBLES]->(p:PersonaPrototype)
WHERE p.model = $model
DELETE r
