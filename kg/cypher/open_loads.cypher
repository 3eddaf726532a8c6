// purpose: Loads of other data sets that began and did not end.
// parameters: dataset (string)
// columns: dataset, id
// mode: read
MATCH (l:Load {status: 'running'})
WHERE l.dataset <> $dataset
RETURN l.dataset AS dataset, l.id AS id
ORDER BY dataset, id
