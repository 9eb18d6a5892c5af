-- Encrypted, versioned FHIR resources. Readable here: owners, ids, versions, times, sizes.

-- One row a version; nothing is overwritten but the mark of which is the newest.
-- If lost: that version is gone. If altered: it does not open, and says so. A newest version that is
-- removed together with its mark is not noticed here (the log of the records notices it).
CREATE TABLE resource (
  tenant_id uuid NOT NULL,
  -- A patient, or the tenant itself for what belongs to the organisation.
  patient_id uuid NOT NULL,
  id uuid NOT NULL,
  version integer NOT NULL,
  -- Keyed hash of compartment and resource type.
  kind uuid NOT NULL,
  time_ms bigint NOT NULL,
  written_ms bigint NOT NULL,
  newest boolean NOT NULL,
  deleted boolean NOT NULL,
  -- Keyed hashes of searchable values, under the patient's own key.
  tokens bigint[] NOT NULL,
  sealed bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, id, version)
);
CREATE INDEX resource_by_time ON resource (tenant_id, patient_id, kind, time_ms, id)
  WHERE newest AND NOT deleted;

-- How a patient or device is found without knowing whose it is: demographics only.
-- What it leaks: equal identifiers look equal; names and birth dates share 12 bits with one in 4,096.
-- If lost or altered: the resource is not found by that value; its content is not touched.
CREATE TABLE resource_token (
  tenant_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  id uuid NOT NULL,
  token bytea NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, id, token)
);
CREATE INDEX resource_token_search ON resource_token (tenant_id, token, patient_id, id);
