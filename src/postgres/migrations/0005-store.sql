-- Encrypted series. What is readable here: ids of patients, months, sizes, counts, times of segments.
-- Every name of a series is a keyed hash; every content is sealed (src/vault).

-- The keystore whose keys this data is sealed under: a start with another one is refused.
-- Lost or altered: the start is refused or not, but nothing opens under another keystore.
CREATE TABLE keystore_binding (
  tenant_id uuid PRIMARY KEY,
  keystore_id text NOT NULL
);

-- One row per patient, category and month: the manifest of what must be there.
-- If lost or altered: its samples read as a gap that says so; nothing is shown as complete.
CREATE TABLE lane (
  tenant_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  lane uuid NOT NULL,
  month integer NOT NULL,
  -- Arrivals from first_arrival up to but not next_arrival exist; older ones are merged.
  first_arrival bigint NOT NULL,
  next_arrival bigint NOT NULL,
  version bigint NOT NULL,
  -- Sealed list of the lane's shelves and their versions.
  directory bytea STORAGE EXTERNAL NOT NULL,
  -- Keyed hash over all of the above.
  seal bytea NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, lane)
) WITH (fillfactor = 60);

-- What one group commit brought for one lane; merged and deleted soon.
-- If lost or altered: shown as a gap, counted.
CREATE TABLE arrival (
  tenant_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  lane uuid NOT NULL,
  number bigint NOT NULL,
  sealed bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, lane, number)
);

-- The sealed list of the segments of one series in one month (waveforms: one day).
-- If lost, altered or rolled back: its samples read as a gap that says so.
CREATE TABLE shelf (
  tenant_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  shelf uuid NOT NULL,
  listing bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, shelf)
);

-- Merged samples of one series, disjoint in time, 4 to 16 KiB when full. Numbers are never reused.
-- If lost or altered: shown as a gap, counted.
CREATE TABLE segment (
  tenant_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  shelf uuid NOT NULL,
  number bigint NOT NULL,
  sealed bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, shelf, number)
);

-- One row per group commit, for whoever follows what was stored (the log); the oldest are dropped.
-- If lost or altered: the log misses or misstates a minute's root; the samples are not touched.
CREATE TABLE outbox (
  tenant_id uuid NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY,
  written_ms bigint NOT NULL,
  -- SHA-256 over the seals of the lanes that the commit changed.
  digest bytea NOT NULL,
  PRIMARY KEY (tenant_id, number)
);
