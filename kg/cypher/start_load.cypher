// purpose: Open a load in the ledger.
// parameters: load, dataset, contentHash, now (strings)
// columns: -
// mode: write
MERGE (l:Load {id: $load})
SET l.dataset = $dataset, l.status = 'running', l.contentHash = $contentHash, l.startedAt = datetime($now)
