// purpose: Links of a data set's items to resources, where there are some.
// parameters: dataset (string)
// columns: id, iri, score
// mode: read
MATCH (i:{{label}} {dataset: $dataset}) WHERE i.iri IS NOT NULL
RETURN i.id AS id, i.iri AS iri, i.linkScore AS score
