// purpose: Which of some items others went on to from which of some items.
// parameters: sources, targets (lists of string)
// columns: source, target, gap1, gap2, gap3
// mode: read
UNWIND $sources AS source
MATCH (a:{{label}} {id: source})-[r:NEXT]->(b:{{label}})
WHERE b.id IN $targets
RETURN a.id AS source, b.id AS target, r.gap1 AS gap1, r.gap2 AS gap2, r.gap3 AS gap3
ORDER BY target, source
