// purpose: The abstracts of a data set's items that have one.
// parameters: dataset (string)
// columns: id, abstract
// mode: read
MATCH (i:{{label}} {dataset: $dataset})
WHERE i.abstract IS NOT NULL
RETURN i.id AS id, i.abstract AS abstract
