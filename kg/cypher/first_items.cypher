// purpose: Keys and titles of a data set's first items as one list: each row of a result costs the driver as much as ten of a list.
// parameters: dataset (string), most (integer)
// columns: items
// mode: read
MATCH (i:{{label}} {dataset: $dataset})
WITH i, i.id AS id ORDER BY id LIMIT $most
RETURN collect([id, i.title]) AS items
