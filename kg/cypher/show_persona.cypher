// purpose: The strongest facts of a user's persona.
// parameters: user, model (strings)
// columns: relation, name, id, weight
// mode: read
MATCH (u:User {id: $user})-[p:PREFERS]->(e)
WHERE p.model = $model
RETURN p.relation AS relation, coalesce(e.name, e.title, e.id) AS name, e.id AS id, p.weight AS weight
ORDER BY weight DESC, relation, id
