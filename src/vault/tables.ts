/**
 * The keystore's tables and every statement on them (SQLite).
 *
 * If lost: nothing stored about any patient can be opened again; restore the keystore's backup.
 * If altered: what was altered does not open ("keystore-damaged"); a removed row loses its patient.
 * If stolen without the passphrase: patient ids, kinds and ids of secrets, counts, no key.
 */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS keystore (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    keystore_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    root_generation INTEGER NOT NULL,
    sealed_root BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS patient_key (
    patient_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    made_ms INTEGER NOT NULL,
    PRIMARY KEY (patient_id, generation)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS erased_patient (
    patient_id TEXT PRIMARY KEY,
    erased_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS secret (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS anchor (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;`;

export const SQL = {
  readKeystore: "SELECT format, keystore_id, tenant_id, root_generation, sealed_root FROM keystore",
  makeKeystore: "INSERT INTO keystore VALUES (1, ?, ?, ?, ?, ?)",
  setRoot: "UPDATE keystore SET root_generation = ?, sealed_root = ?",
  patientKeys:
    "SELECT generation, wrapped FROM patient_key WHERE patient_id = ? ORDER BY generation",
  allPatientKeys: "SELECT patient_id, generation, wrapped FROM patient_key",
  addPatientKey: "INSERT INTO patient_key VALUES (?, ?, ?, ?)",
  rewrapPatientKey: "UPDATE patient_key SET wrapped = ? WHERE patient_id = ? AND generation = ?",
  deletePatientKeys: "DELETE FROM patient_key WHERE patient_id = ?",
  markErased: "INSERT OR IGNORE INTO erased_patient VALUES (?, ?)",
  isErased: "SELECT 1 FROM erased_patient WHERE patient_id = ?",
  getSecret: "SELECT wrapped FROM secret WHERE kind = ? AND id = ?",
  putSecret: "INSERT OR REPLACE INTO secret VALUES (?, ?, ?)",
  deleteSecret: "DELETE FROM secret WHERE kind = ? AND id = ?",
  secretIds: "SELECT id FROM secret WHERE kind = ? ORDER BY id",
  allSecrets: "SELECT kind, id, wrapped FROM secret",
  getAnchor: "SELECT value FROM anchor WHERE name = ?",
  setAnchor: "INSERT OR REPLACE INTO anchor VALUES (?, ?)",
} as const;
