// purpose: Keys of a data set's first users as one list.
// parameters: dataset (string), most (integer)
// columns: users
// mode: read
MATCH (u:User {dataset: $dataset})
WITH u.id AS id ORDER BY id LIMIT $most
RETURN collect([id]) AS users
