// purpose: Subjects whose name begins with a digit, and the items of a data set that are about them.
// parameters: dataset (string)
// columns: name, items
// mode: read
MATCH (s:Subject)
WHERE s.name >= '1' AND s.name < '3'
MATCH (s)<-[:SUBJECT_IS]-(i:{{label}})
WHERE i.dataset = $dataset
RETURN s.name AS name, collect(i.id) AS items
