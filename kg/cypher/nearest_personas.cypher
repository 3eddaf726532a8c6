// purpose: Users whose persona is nearest to a user's.
// parameters: user, index (strings), k (integer)
// columns: neighbour, score
// mode: read
MATCH (u:User {id: $user})
CALL db.index.vector.queryNodes($index, $k, u.{{property}}) YIELD node, score
WITH u, node, score
WHERE node.id <> u.id
RETURN node.id AS neighbour, score
ORDER BY score DESC, neighbour
