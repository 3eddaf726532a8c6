// purpose: How much of each prototype is in a user's persona, most first.
// parameters: user, model (strings)
// columns: id, name, weight
// mode: read
MATCH (u:User {id: $user})-[r:RESEMBLES]->(p:PersonaPrototype)
WHERE p.model = $model
RETURN p.id AS id, p.name AS name, r.weight AS weight
ORDER BY weight DESC, id
