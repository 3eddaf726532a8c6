// purpose: Paths from items read to an item by way of what others went on to.
// parameters: read (list of string), item (string)
// columns: source, sourceTitle, target, gap1, gap2, gap3
// mode: read
MATCH (a:{{label}})-[r:NEXT]->(b:{{label}} {id: $item})
WHERE a.id IN $read
RETURN a.id AS source, a.title AS sourceTitle, b.id AS target, r.gap1 AS gap1, r.gap2 AS gap2, r.gap3 AS gap3
ORDER BY gap1 DESC, gap2 DESC, gap3 DESC, source
