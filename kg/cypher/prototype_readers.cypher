// purpose: Users of a prototype by weight, the closest first.
// parameters: prototype (string), k (integer)
// columns: id, weight
// mode: read
MATCH (p:PersonaPrototype {id: $prototype})<-[r:RESEMBLES]-(u:User)
RETURN u.id AS id, r.weight AS weight
ORDER BY weight DESC, id
LIMIT $k
