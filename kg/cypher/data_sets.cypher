// purpose: Data sets of this database.
// parameters: -
// columns: id, domain, contentHash, personaModel
// mode: read
MATCH (d:DataSet)
RETURN d.id AS id, d.domain AS domain, d.contentHash AS contentHash, d.personaModel AS personaModel
ORDER BY id
