// purpose: Facts that a user's persona shares with those of others.
// parameters: user, model (strings), others (list of string)
// columns: neighbour, relation, name, id, strength
// mode: read
MATCH (u:User {id: $user})-[p:PREFERS]->(e)<-[q:PREFERS]-(v:User)
WHERE p.model = $model AND q.model = $model AND p.relation = q.relation AND v.id IN $others
RETURN v.id AS neighbour, p.relation AS relation, coalesce(e.name, e.title, e.id) AS name, e.id AS id,
  p.weight * q.weight AS strength
ORDER BY neighbour, strength DESC, relation, id
