// purpose: Who touched each of some items.
// parameters: items (list of string)
// columns: item, readers
// mode: read
UNWIND $items AS item
MATCH (i:{{label}} {id: item})<-[:RATED]-(u:User)
RETURN i.id AS item, collect(u.id) AS readers
