// purpose: Transitions that leave a batch of items, as columns.
// parameters: ids (list of string)
// columns: sources, targets, gap1, gap2, gap3
// mode: read
UNWIND $ids AS id
MATCH (a:{{label}} {id: id})-[r:NEXT]->(b:{{label}})
RETURN collect(a.id) AS sources, collect(b.id) AS targets,
  collect(r.gap1) AS gap1, collect(r.gap2) AS gap2, collect(r.gap3) AS gap3
