-- Which devices exist, their certificates, whom they measure. Labels and notes are sealed
-- (registry field key); ids, states and times are readable: they name no person.

-- Lost: no device may speak until restored or enrolled again. Altered: a device could speak under
-- another state; its certificate and sealed label still do not move to another device.
CREATE TABLE device (
  tenant_id   uuid   NOT NULL,
  device_id   uuid   NOT NULL,
  state       text   NOT NULL CHECK (state IN ('claimed','enrolled','suspended','quarantined','revoked')),
  sealed      bytea  NOT NULL,
  created_ms  bigint NOT NULL,
  enrolled_ms bigint,
  PRIMARY KEY (tenant_id, device_id)
);

-- Every certificate issued, for ever: a signed block names its certificate by hash.
-- Lost: its blocks cannot be verified here any more. Altered: the hash no longer matches.
CREATE TABLE device_certificate (
  tenant_id        uuid   NOT NULL,
  certificate_hash bytea  NOT NULL,
  device_id        uuid   NOT NULL,
  der              bytea  NOT NULL,
  issued_ms        bigint NOT NULL,
  PRIMARY KEY (tenant_id, certificate_hash)
);

-- Single-use codes, hashed under a key of the keystore. Lost: make a new claim. Altered: a code can
-- neither be had from its hash nor put here without that key.
CREATE TABLE device_claim (
  tenant_id        uuid   NOT NULL,
  claim_hash       bytea  NOT NULL,
  device_id        uuid   NOT NULL,
  expires_ms       bigint NOT NULL,
  patient_id       uuid,
  assigned_from_ms bigint,
  used_ms          bigint,
  certificate_hash bytea,
  PRIMARY KEY (tenant_id, claim_hash)
);

-- Whom a device measured, from–to. Lost: new readings are refused as unassigned until assigned again.
-- Altered: later readings would be sealed under the wrong patient; SECURITY.md, "who writes the database".
CREATE TABLE device_assignment (
  tenant_id   uuid   NOT NULL,
  patient_id  uuid   NOT NULL,
  device_id   uuid   NOT NULL,
  from_ms     bigint NOT NULL,
  to_ms       bigint,
  recorded_ms bigint NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, device_id, from_ms)
);
