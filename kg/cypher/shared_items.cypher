// purpose: How many items a user shares with others.
// parameters: user (string), others (list of string)
// columns: neighbour, shared
// mode: read
MATCH (u:User {id: $user})-[:RATED]->(i)<-[:RATED]-(v:User)
WHERE v.id IN $others
RETURN v.id AS neighbour, count(i) AS shared
ORDER BY neighbour
