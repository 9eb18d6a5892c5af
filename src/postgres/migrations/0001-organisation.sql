-- The organisation this database serves: exactly one row.
-- Lost: every tenant_id in every other table has lost its name; restore from backup.
-- Altered: associated data no longer match and nothing opens any more.
CREATE TABLE organisation (
  tenant_id  uuid   NOT NULL,
  name       text   NOT NULL,
  created_ms bigint NOT NULL,
  PRIMARY KEY (tenant_id)
);
