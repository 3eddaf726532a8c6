// purpose: Name, versions and edition of the server.
// parameters: -
// columns: name, versions, edition
// mode: read
CALL dbms.components() YIELD name, versions, edition RETURN name, versions, edition
