// purpose: Users whose strongest facts are nearest to a user's, for personas without a vector.
// parameters: user, model (strings), k (integer)
// columns: neighbour, score
// mode: read
MATCH (u:User {id: $user})-[p:PREFERS]->(e)<-[q:PREFERS]-(v:User)
WHERE p.model = $model AND q.model = $model AND p.relation = q.relation AND v.id <> u.id
WITH v.id AS neighbour, p.weight * q.weight AS part
WITH neighbour, sum(part) AS score
RETURN neighbour, score
ORDER BY score DESC, neighbour
LIMIT $k
