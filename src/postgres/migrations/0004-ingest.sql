-- What admission knows: sessions, which numbers arrived, signed blocks, gaps, and evidence.
-- No table here holds a key (those are in the keystore only) or anything measured.

-- One row per session of a device, written by the journal's folding and by the rare events.
-- Lost: the device's envelopes of that session are refused; it opens a new session and sends again.
-- Altered: numbers look admitted that are not (the signed blocks and gap statements contradict it).
CREATE TABLE device_session (
  tenant_id        uuid   NOT NULL,
  device_id        uuid   NOT NULL,
  session_id       bytea  NOT NULL,  -- 16 bytes
  certificate_hash bytea  NOT NULL,  -- SHA-256 of the certificate that signed the opening
  opening_hash     bytea  NOT NULL,  -- SHA-256 of the opening, to know it when it comes again
  suite            text   NOT NULL,
  opened_ms        bigint NOT NULL,
  first_number     bigint,           -- unknown until the first envelope arrived
  ranges           bytea  NOT NULL,  -- admitted or refused for good; see ingest/ranges.ts
  last_ms          bigint NOT NULL,  -- of the newest admission
  closed_at        bigint,           -- number of the device's signed close
  previous_session bytea,            -- what the first envelope says came before
  previous_last    bigint,
  previous_head    bytea,
  standing         text   NOT NULL DEFAULT 'regular'
    CHECK (standing IN ('regular', 'rolled-back', 'quarantined')),
  ended_ms         bigint,           -- keys destroyed: no envelope of it opens any more
  PRIMARY KEY (tenant_id, device_id, session_id)
);

-- Appended in the transaction that stores the samples: one row says which numbers it admitted.
-- Folded into device_session and number_page every few seconds, and when the platform starts.
-- Lost: samples that are stored look unseen, and would be stored again when sent again.
CREATE TABLE admission_journal (
  tenant_id uuid   NOT NULL,
  lane      int    NOT NULL,  -- the shard group a commit touches; always 0 on one machine
  entry     bigint NOT NULL,
  numbers   bytea  NOT NULL,  -- see ingest/journal.ts; empty: this entry never happened
  PRIMARY KEY (tenant_id, lane, entry)
);

-- Hashes (8 of 32 bytes) of 256 successive envelopes, to tell a repetition from a fork, and the
-- Merkle leaves of those that no verified block covers yet. Deleted with the session's keys.
-- Lost or altered: a repetition is taken for a fork and reported; nothing is lost.
CREATE TABLE number_page (
  tenant_id  uuid   NOT NULL,
  device_id  uuid   NOT NULL,
  session_id bytea  NOT NULL,
  page       bigint NOT NULL,  -- number / 256
  hashes     bytea  NOT NULL,
  leaves     bytea,
  PRIMARY KEY (tenant_id, device_id, session_id, page)
);

-- Envelopes whose number was already taken by another: kept and marked. Here so that a repetition
-- of such a one is known for what it is. Lost: it would be stored and reported once more.
CREATE TABLE number_fork (
  tenant_id  uuid   NOT NULL,
  device_id  uuid   NOT NULL,
  session_id bytea  NOT NULL,
  number     bigint NOT NULL,
  hash       bytea  NOT NULL,
  PRIMARY KEY (tenant_id, device_id, session_id, number, hash)
);

-- The device's signature over the Merkle root of its batches, and what a proof needs beside it.
-- Lost: those samples can no longer be proven to come from the device. Altered: verification fails.
CREATE TABLE signed_block (
  tenant_id        uuid   NOT NULL,
  patient_id       uuid   NOT NULL,
  device_id        uuid   NOT NULL,
  session_id       bytea  NOT NULL,
  from_number      bigint NOT NULL,
  to_number        bigint NOT NULL,
  leaf_count       bigint NOT NULL,
  root             bytea  NOT NULL,
  certificate_hash bytea  NOT NULL,
  signed           bytea  NOT NULL,  -- COSE_Sign1 as received
  salt_key         bytea,            -- sealed for the patient, once verified
  salt_month       int,
  state            text   NOT NULL CHECK (state IN ('waiting', 'verified', 'failed')),
  received_ms      bigint NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, device_id, session_id, from_number, root)
);
CREATE INDEX signed_block_waiting ON signed_block (tenant_id, device_id, session_id, from_number);

-- Numbers the device says it no longer has, and why; or that a restore of the platform lost.
CREATE TABLE gap_statement (
  tenant_id    uuid   NOT NULL,
  device_id    uuid   NOT NULL,
  session_id   bytea  NOT NULL,  -- in which it was said
  from_number  bigint NOT NULL,
  to_number    bigint NOT NULL,
  reason       text   NOT NULL,
  received_ms  bigint NOT NULL,
  PRIMARY KEY (tenant_id, device_id, session_id, from_number, to_number)
);

-- Envelopes refused for good though they opened: named in receipts, so no spool waits for them.
CREATE TABLE envelope_refusal (
  tenant_id     uuid   NOT NULL,
  device_id     uuid   NOT NULL,
  session_id    bytea  NOT NULL,
  number        bigint NOT NULL,
  problem       text   NOT NULL,
  envelope_hash bytea  NOT NULL,
  received_ms   bigint NOT NULL,
  PRIMARY KEY (tenant_id, device_id, session_id, number)
);

-- What was wrong, how often. One row a type, device and minute, however many arrive.
CREATE TABLE security_event (
  tenant_id uuid   NOT NULL,
  device_id text   NOT NULL,  -- as the certificate said; empty when nobody is known
  kind      text   NOT NULL,
  first_ms  bigint NOT NULL,
  last_ms   bigint NOT NULL,
  count     bigint NOT NULL,
  evidence  jsonb  NOT NULL,  -- of the first: session and numbers, never a value
  PRIMARY KEY (tenant_id, device_id, kind, first_ms)
);

-- A new epoch begins when the database turns out to be older than the keystore remembers.
CREATE TABLE store_epoch (
  tenant_id  uuid   NOT NULL,
  epoch      bigint NOT NULL,
  started_ms bigint NOT NULL,
  reason     text   NOT NULL,
  folded     bigint NOT NULL DEFAULT 0,  -- the newest journal entry that was folded
  PRIMARY KEY (tenant_id, epoch)
);
