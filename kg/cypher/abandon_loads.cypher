// purpose: Close loads of other content that will never be gone on with.
// parameters: dataset, contentHash (strings)
// columns: -
// mode: write
MATCH (l:Load {dataset: $dataset, status: 'running'})
WHERE l.contentHash <> $contentHash
SET l.status = 'failed'
