// purpose: Number of relations of a type that leave a data set's nodes.
// parameters: dataset (string)
// columns: total
// mode: read
MATCH (a:{{source}} {dataset: $dataset})-[r:{{type}}]->(b) RETURN count(r) AS total
