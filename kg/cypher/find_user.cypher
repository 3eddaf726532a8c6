// purpose: Whether a user exists.
// parameters: user (string)
// columns: id
// mode: read
MATCH (u:User {id: $user}) RETURN u.id AS id
