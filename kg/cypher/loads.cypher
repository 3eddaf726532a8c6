// purpose: Loads of a data set.
// parameters: dataset (string)
// columns: id, status, startedAt, finishedAt, rowsIn, merged, duplicates, filtered, quarantined, created, changed
// mode: read
MATCH (l:Load {dataset: $dataset})
RETURN l.id AS id, l.status AS status, toString(l.startedAt) AS startedAt, toString(l.finishedAt) AS finishedAt,
  l.rowsIn AS rowsIn, l.merged AS merged, l.duplicates AS duplicates,
  l.filtered AS filtered, l.quarantined AS quarantined, l.created AS created, l.changed AS changed
ORDER BY startedAt, id
