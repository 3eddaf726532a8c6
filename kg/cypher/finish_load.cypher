// purpose: Close a load and say what the data set now holds.
// parameters: load, dataset, domain, contentHash, now (strings), books (map of integers)
// columns: -
// mode: write
MATCH (l:Load {id: $load})
MATCH (d:DataSet {id: $dataset})
SET l.status = 'complete', l.finishedAt = datetime($now), l += $books
SET d.domain = $domain, d.contentHash = $contentHash
