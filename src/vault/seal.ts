/**
 * What others see of the vault: write-only sealing, opening by permit, tokens and secrets.
 * X never leaves the vault: a data key or the root key. `vault.ts` makes it.
 */
import type { Compartment, Permit } from "../access/permit.ts";

/** The write-only handle: admission can seal and name, and can open nothing. */
export interface Sealer {
  /** Makes the patient's data key durably if there is none; cheap when there is.
   * @throws Problem "keystore-unavailable"; "patient-erased" after `destroyPatient`. */
  ensurePatient(patientId: string): void;
  /** Seals under the compartment's key (XAES-256-GCM, C2SP); needs `ensurePatient` before.
   * @param monthIndex months since January 1970, UTC.
   * @param aad what the bytes are (format, series, segment, time range). Tenant, patient,
   *   compartment, month and data-key generation are added here. At most 64 KiB.
   * @returns `version(1) | generation(4) | nonce(24) | ciphertext | tag(16)`. */
  seal(
    patientId: string,
    compartment: Compartment,
    monthIndex: number,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): Buffer;
  /** A keyed hash that names something of this patient without showing it; 16 bytes. */
  label(patientId: string, what: string): Buffer;
  /** A keyed hash (HMAC-SHA-256) over the patient's own bytes, to detect change; 32 bytes. */
  authenticate(patientId: string, bytes: Uint8Array): Buffer;
  /** Equality token of a searchable value, per column and tenant: HMAC-SHA-256, 32 bytes. */
  token(column: string, value: string): Buffer;
}

/** Secret bytes by kind and id (CA key, receive sessions, prekeys); wrapped by the root key.
 * Lost: what they open stays shut. Altered: `get` throws "keystore-damaged". */
export interface SecretStore {
  /** @throws Problem "keystore-unavailable". */
  get(kind: string, id: string): Uint8Array | undefined;
  /** Resolves when durable; calls of one moment share one write. */
  put(kind: string, id: string, secret: Uint8Array): Promise<void>;
  delete(kind: string, id: string): Promise<void>;
  deleteMany(kind: string, ids: readonly string[]): Promise<void>;
  /** The ids of one kind, ascending. */
  ids(kind: string): string[];
}

export interface Vault extends Sealer {
  /** Kept in the keystore and in the database: data without its own keystore is refused. */
  readonly keystoreId: string;
  readonly secrets: SecretStore;
  /** Opens what `seal` sealed; the permit is checked at every call and told what it opened.
   * @throws Problem "permit-ended" for a look-alike, a dead permit, another patient or compartment;
   *   "sealed-data-damaged" when the bytes were altered or belong elsewhere; "patient-erased". */
  open(
    permit: Permit,
    patientId: string,
    compartment: Compartment,
    monthIndex: number,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Buffer;
  hasPatient(patientId: string): boolean;
  /** A new data key for what is sealed from now on; older data keeps its own. */
  rotatePatient(patientId: string): void;
  /** Destroys every data key of the patient, for ever: durable on return. Backups keep theirs. */
  destroyPatient(patientId: string): void;
  /** A new root key: every wrapped key and secret is wrapped anew, in one durable step. */
  rewrap(): Promise<void>;
  /** A new passphrase for the same root key. */
  changePassphrase(passphrase: string): Promise<void>;
  /** A small number or text that must survive beside the keys, such as the store's anchor. */
  anchor: {
    get(name: string): string | undefined;
    set(entries: ReadonlyMap<string, string>): void;
  };
  close(): void;
}
