// purpose: Where users stand on the map of a persona version, with the weights of their prototypes.
// parameters: ids (list of string), model (string)
// columns: user, place, prototype, weight
// mode: read
UNWIND $ids AS id
MATCH (u:User {id: id})-[r:RESEMBLES]->(p:PersonaPrototype)
WHERE p.model = $model
RETURN u.id AS user, u.{{property}} AS place, p.id AS prototype, r.weight AS weight
