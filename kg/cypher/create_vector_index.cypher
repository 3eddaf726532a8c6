// purpose: Index the persona vectors of one version (Neo4j; no quantisation, which costs recall).
// parameters: dimension (integer)
// columns: -
// mode: write
CREATE VECTOR INDEX {{index}} IF NOT EXISTS FOR (n:{{label}}) ON (n.{{property}})
OPTIONS {indexConfig: {`vector.dimensions`: $dimension, `vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false}}
