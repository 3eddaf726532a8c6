// purpose: Loads of this content that began and did not end, oldest first.
// parameters: dataset, contentHash (strings)
// columns: id, startedAt
// mode: read
MATCH (l:Load {dataset: $dataset, status: 'running'})
WHERE l.contentHash = $contentHash
RETURN l.id AS id, toString(l.startedAt) AS startedAt
ORDER BY startedAt, id
