-- Staff, care teams, sign-in, and the audit of every access. Names, preferences and what an audit
-- entry says are sealed (field keys "access" and "audit"); ids, roles and times are readable.

-- Lost: nobody can sign in until restored. Altered: a role could be raised; the audit shows its use.
CREATE TABLE person (
  tenant_id  uuid    NOT NULL,
  person_id  uuid    NOT NULL,
  role       text    NOT NULL CHECK (role IN ('nurse','doctor','administrator')),
  active     boolean NOT NULL,
  sealed     bytea   NOT NULL,
  created_ms bigint  NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
);

-- Lost: defaults. Altered: does not open, defaults.
CREATE TABLE preference (
  tenant_id uuid  NOT NULL,
  person_id uuid  NOT NULL,
  sealed    bytea NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
);

-- Who treats whom, from–to. Lost: nobody sees the patient. Altered: a colleague could see more; the
-- audit shows what was read. The next layer (consent, policy) seals these rows.
CREATE TABLE care_team (
  tenant_id  uuid   NOT NULL,
  patient_id uuid   NOT NULL,
  person_id  uuid   NOT NULL,
  from_ms    bigint NOT NULL,
  to_ms      bigint,
  PRIMARY KEY (tenant_id, patient_id, person_id, from_ms)
);

-- Single-use links, hashed under a key of the keystore. Lost: ask for another. Altered: a link can
-- neither be had from its hash nor put here without that key.
CREATE TABLE sign_in_link (
  tenant_id  uuid   NOT NULL,
  link_hash  bytea  NOT NULL,
  person_id  uuid   NOT NULL,
  expires_ms bigint NOT NULL,
  used_ms    bigint,
  PRIMARY KEY (tenant_id, link_hash)
);

-- Browser sessions and bearer tokens, hashed likewise. Lost: sign in again. Altered: none can be
-- added; the person of one that its holder has could be exchanged (SECURITY.md, "What is left").
CREATE TABLE session (
  tenant_id    uuid   NOT NULL,
  session_hash bytea  NOT NULL,
  session_id   uuid   NOT NULL,
  person_id    uuid   NOT NULL,
  means        text   NOT NULL CHECK (means IN ('cookie','bearer')),
  started_ms   bigint NOT NULL,
  seen_ms      bigint NOT NULL,
  expires_ms   bigint NOT NULL,
  ended_ms     bigint,
  PRIMARY KEY (tenant_id, session_hash)
);

-- One row for each decision and each closing, never changed or removed by the program.
-- patient_id is the organisation's id where an entry is about no patient.
-- Lost or altered: an access is no longer shown. The transparency log will make that visible.
CREATE TABLE audit_entry (
  tenant_id  uuid   NOT NULL,
  patient_id uuid   NOT NULL,
  entry_id   uuid   NOT NULL,
  at_ms      bigint NOT NULL,
  sealed     bytea  NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, entry_id)
);
