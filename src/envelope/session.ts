/**
 * Sessions (docs/envelope.md §6, §7): the device seals, the platform opens, and the other way round
 * for receipts. No I/O: what must be kept is handed in and out. Past 400 lines because both ends of one
 * protocol are easier to compare side by side.
 */
import { createHmac } from "node:crypto";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { sha256 } from "../transparency/tree.ts";
import { CborReader, CborWriter } from "./cbor.ts";
import { type Content, encodeContent, type ReadContent, readContent } from "./content.ts";
import {
  type EnvelopeParts,
  fromHex,
  hex,
  parseEnvelope,
  sessionAad,
  writeEnvelope,
} from "./envelope.ts";
import { concat, expand, extract, label } from "./kdf.ts";
import {
  type DeviceIdentity,
  openPrekey,
  openReply,
  type PlatformIdentity,
  parseOpening,
  parsePrekeySecret,
  type Reply,
  signOpening,
  signReply,
  verifyOpening,
} from "./opening.ts";
import {
  type EpochKeys,
  epochKeys,
  epochKid,
  KID_BYTES,
  nextChainKey,
  nonceOf,
} from "./ratchet.ts";
import { type Downlink, decodeDownlink, encodeDownlink } from "./receipt.ts";
import {
  type Chance,
  decapsulateShares,
  encapsulateTo,
  type KemMode,
  makeShares,
  publicShares,
} from "./shares.ts";
import { type Suite, suiteByAlg } from "./suites.ts";

const TRANSCRIPT = label("vitalward/1 transcript");
const UP = label("vitalward/1 up");
const DOWN = label("vitalward/1 down");
const DOWN_EPOCH = label("vitalward/1 down epoch");
const SEQUENCE_MAX = 2 ** 52;
/** Bytes of a session id, and of the random kid of a downlink epoch. */
const ID_BYTES = 16;

/** The two roots of a session, from both messages and all exporter secrets. */
interface Roots {
  up: Uint8Array;
  down: Uint8Array;
}

function deriveRoots(ikm: Uint8Array, first: Uint8Array, second: Uint8Array): Roots {
  const transcript = sha256(concat(TRANSCRIPT, first, second));
  const prk = extract(transcript, ikm);
  return { up: expand(prk, UP, 32), down: expand(prk, DOWN, 32) };
}

/** Keys of one downlink epoch: its kid is chance, so a platform that restarts repeats no nonce. */
function downlinkKeys(downRoot: Uint8Array, kid: Uint8Array, suite: Suite): EpochKeys {
  const secret = createHmac("sha256", downRoot).update(DOWN_EPOCH).update(kid).digest();
  return epochKeys(secret, suite);
}

export interface SessionOptions {
  suite: Suite;
  /** Number of the session's first envelope: one more than the last this device ever sealed. */
  firstSequence: number;
  /** Device clock, milliseconds. */
  nowMs: number;
  chance: Chance;
}

/** A session as its device holds it. Nothing of it is ever written down: after any start, a new one. */
export class DeviceSession {
  /** Hex of 16 bytes. */
  readonly sessionId: string;
  /** What the platform replied: its clock and store epoch; undefined for a start on a prekey. */
  readonly reply: Reply | undefined;
  readonly #suite: Suite;
  readonly #aad: Uint8Array;
  readonly #downRoot: Uint8Array;
  readonly #firstSequence: number;
  #chainKey: Uint8Array;
  #kid: Uint8Array;
  #keys: EpochKeys;
  #sealed = 0;
  readonly #downlinks = new Map<string, EpochKeys>();

  private constructor(
    sessionId: string,
    roots: Roots,
    o: SessionOptions,
    reply: Reply | undefined = undefined,
  ) {
    this.sessionId = sessionId;
    this.reply = reply;
    this.#suite = o.suite;
    this.#aad = sessionAad(o.suite, fromHex(sessionId));
    this.#downRoot = roots.down;
    this.#firstSequence = o.firstSequence;
    this.#chainKey = roots.up;
    this.#kid = epochKid(roots.up);
    this.#keys = epochKeys(roots.up, o.suite);
  }

  /** Starts a session over a connection: send the opening, finish with the platform's reply.
   * `finish` throws Problem "opening-refused" for a reply that is not to this opening; by then numbers
   * may have been used up in an older session, so it takes the first number again. */
  static begin(
    identity: DeviceIdentity,
    o: SessionOptions & { kem: KemMode },
  ): {
    sessionId: string;
    opening: Uint8Array;
    finish(reply: Uint8Array, firstSequence?: number): DeviceSession;
  } {
    const sessionId = hex(o.chance.random(ID_BYTES));
    const secrets = makeShares(o.kem, o.chance);
    const opening = signOpening(identity, {
      sessionId,
      alg: o.suite.alg,
      kem: o.kem,
      prekeyId: undefined,
      openedMs: o.nowMs,
      shares: publicShares(secrets),
    });
    const openingHash = sha256(opening);
    const finish = (bytes: Uint8Array, firstSequence = o.firstSequence) => {
      const reply = openReply(bytes, o.kem, identity.platformKey);
      if (reply.sessionId !== sessionId || hex(reply.openingHash) !== hex(openingHash)) {
        throw new Problem("opening-refused", { detail: "a reply to another opening" });
      }
      const ikm = refusing(() => decapsulateShares(secrets, reply.sent));
      const roots = deriveRoots(ikm, openingHash, sha256(bytes));
      return new DeviceSession(sessionId, roots, { ...o, firstSequence }, reply);
    };
    return { sessionId, opening, finish };
  }

  /** Starts a session without a connection, on a prekey that must never be used again.
   * @throws Problem "opening-refused" for a prekey the platform did not sign, or an expired one. */
  static fromPrekey(
    identity: DeviceIdentity,
    prekeyBytes: Uint8Array,
    o: SessionOptions,
  ): { opening: Uint8Array; session: DeviceSession } {
    const prekey = openPrekey(prekeyBytes, identity.platformKey);
    if (prekey.expiresMs <= o.nowMs) {
      throw new Problem("opening-refused", { detail: "the prekey has expired" });
    }
    const sessionId = hex(o.chance.random(ID_BYTES));
    const { sent, ikm } = refusing(() => encapsulateTo(prekey.shares, o.chance));
    const opening = signOpening(identity, {
      sessionId,
      alg: o.suite.alg,
      kem: prekey.kem,
      prekeyId: prekey.id,
      openedMs: o.nowMs,
      shares: sent,
    });
    const roots = deriveRoots(ikm, sha256(prekeyBytes), sha256(opening));
    return { opening, session: new DeviceSession(sessionId, roots, o) };
  }

  /** The number that the next envelope must bear. */
  get nextSequence(): number {
    return this.#firstSequence + this.#sealed;
  }

  /** Seals one envelope: its number must be `nextSequence`. Keep the bytes and resend them as they are.
   * @returns COSE_Encrypt0, at most `limits.envelopeBytesMax` bytes.
   * @throws Problem "batch-refused", "envelope-too-large"; then the number is not used up.
   * @see RFC 9052 §5.3 */
  seal(content: Content): Uint8Array {
    if (content.sequence !== this.nextSequence) {
      throw new Error("session: an envelope out of turn");
    }
    const plaintext = encodeContent(content);
    if (plaintext.length > limits.envelopeBytesMax - 64) throw new Problem("envelope-too-large");
    const index = this.#sealed % limits.epochEnvelopesMax;
    if (index === 0 && this.#sealed > 0) this.#advance();
    // From here on the nonce counts as used, whatever happens next.
    this.#sealed++;
    const nonce = nonceOf(this.#keys.contextIv, index);
    const sealed = this.#suite.seal(this.#keys.key, nonce, this.#aad, plaintext);
    return writeEnvelope(this.#suite, this.#kid, index, sealed);
  }

  /** To the next epoch; the keys of the one before are gone. */
  #advance(): void {
    const next = nextChainKey(this.#chainKey);
    this.#chainKey.fill(0);
    this.#chainKey = next;
    this.#kid = epochKid(next);
    this.#keys = epochKeys(next, this.#suite);
  }

  /** Opens what the platform says under this session. @throws Problem "envelope-refused". */
  openDownlink(bytes: Uint8Array): Downlink {
    return openDownlinkWith(this.exportDownlink(), bytes, this.#downlinks);
  }

  /** What is needed to read answers later, in a program that has ended since; seals nothing. */
  exportDownlink(): DownlinkSecret {
    return { sessionId: this.sessionId, alg: this.#suite.alg, downRoot: this.#downRoot };
  }
}

/** Reads a session's downlink; keeps no envelope's key. */
export interface DownlinkSecret {
  sessionId: string;
  alg: number;
  /** 32 secret bytes. */
  downRoot: Uint8Array;
}

/** Opens a downlink envelope. @throws Problem "envelope-refused", "envelope-malformed". */
export function openDownlinkWith(
  secret: DownlinkSecret,
  bytes: Uint8Array,
  cache = new Map<string, EpochKeys>(),
): Downlink {
  const parts = parseEnvelope(bytes, ID_BYTES);
  const suite = suiteByAlg(secret.alg);
  if (suite === undefined || parts.alg !== suite.alg) throw new Problem("envelope-refused");
  const kid = hex(parts.kid);
  const keys = cache.get(kid) ?? downlinkKeys(secret.downRoot, parts.kid, suite);
  const nonce = nonceOf(keys.contextIv, parts.partialIv);
  const aad = sessionAad(suite, fromHex(secret.sessionId));
  const plaintext = suite.open(keys.key, nonce, aad, parts.sealed);
  if (plaintext === undefined) throw new Problem("envelope-refused");
  if (!cache.has(kid)) {
    if (cache.size >= 4) cache.clear();
    cache.set(kid, keys); // only after it opened: a stranger's kid fills nothing
  }
  return decodeDownlink(plaintext);
}

/** What `acceptOpening` asks of those who keep things. */
export interface OpeningCheck {
  /** The device and SubjectPublicKeyInfo (DER) of a certificate that may open sessions now. */
  certificateOf(hashHex: string): { deviceId: string; publicKey: Uint8Array } | undefined;
  /** The secret that `makePrekey` gave for this id; undefined once destroyed. */
  prekeySecret(id: string): Uint8Array | undefined;
  platformIdentity: PlatformIdentity;
  /** UTC, milliseconds. */
  nowMs: number;
  storeEpoch: number;
  chance: Chance;
}

/** Judges an opening and makes the session. The caller has made sure that its session id is new for
 * the certificate's life, and stores the session before it sends the reply.
 * @returns the reply to send; empty for an opening on a prekey, which needs none.
 * @throws Problem "envelope-malformed", "opening-refused". */
export function acceptOpening(
  bytes: Uint8Array,
  o: OpeningCheck,
): { session: PlatformSession; reply: Uint8Array } {
  const opening = parseOpening(bytes);
  const device = o.certificateOf(opening.certificateHash);
  const suite = suiteByAlg(opening.alg);
  if (device === undefined || suite === undefined || !verifyOpening(opening, device.publicKey)) {
    throw new Problem("opening-refused");
  }
  const openingHash = sha256(bytes);
  let roots: Roots;
  let reply: Uint8Array = new Uint8Array();
  if (opening.prekeyId === undefined) {
    const { sent, ikm } = refusing(() => encapsulateTo(opening.shares, o.chance));
    reply = signReply(o.platformIdentity, {
      sessionId: opening.sessionId,
      openingHash,
      platformMs: Math.floor(o.nowMs),
      storeEpoch: o.storeEpoch,
      sent,
    });
    roots = deriveRoots(ikm, openingHash, sha256(reply));
  } else {
    const stored = o.prekeySecret(opening.prekeyId);
    if (stored === undefined) throw new Problem("opening-refused", { detail: "prekey" });
    const prekey = parsePrekeySecret(stored);
    // No expiry check here: data sealed in time may arrive as late as the spool's horizon, and the
    // keystore destroys the secret then.
    if (prekey.kem !== opening.kem) throw new Problem("opening-refused", { detail: "kem" });
    const ikm = refusing(() => decapsulateShares(prekey.secrets, opening.shares));
    roots = deriveRoots(ikm, prekey.prekeyHash, openingHash);
  }
  const session = PlatformSession.start(opening.sessionId, device.deviceId, suite, roots, o.chance);
  return { session, reply };
}

/** Bad points and keys are refusals, not faults. */
function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new Problem("opening-refused", { cause });
  }
}

interface Epoch {
  epoch: number;
  chainKey: Uint8Array;
  kidBytes: Uint8Array;
  kid: string;
  keys: EpochKeys | undefined;
}

interface PlatformState {
  sessionId: string;
  deviceId: string;
  suite: Suite;
  oldestEpoch: number;
  /** Chain key of the oldest epoch. */
  chainKey: Uint8Array;
  newestEpoch: number;
  firstSequence: number | undefined;
  downRoot: Uint8Array;
  /** Hex kids of forgotten epochs, the newest last: those just before the oldest epoch. */
  past: string[];
}

/** What an envelope held, and its place. */
export interface OpenedEnvelope extends ReadContent {
  readonly epoch: number;
  readonly index: number;
}

/** What opens one envelope, found by its kid: the opening itself may happen in another thread. */
export interface EnvelopeLock {
  readonly suite: Suite;
  readonly keys: EpochKeys;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  readonly epoch: number;
  readonly index: number;
}

/** Where an envelope belongs in its session, told by its kid alone. */
export interface EnvelopePlace {
  epoch: number;
  index: number;
  /** Its number, once the session's first is known. */
  sequence: number | undefined;
  /** Its epoch is settled and its key forgotten: it can be a duplicate only. */
  settled: boolean;
}

/** A session as the platform holds it: opens envelopes of a window of epochs, forgets the old ones. */
export class PlatformSession {
  readonly sessionId: string;
  readonly deviceId: string;
  readonly suite: Suite;
  /** Did anything change that `exportState` should save? Clear it when saved. */
  changed = true;
  readonly #aad: Uint8Array;
  readonly #downRoot: Uint8Array;
  readonly #chance: Chance;
  readonly #byKid = new Map<string, Epoch>();
  readonly #epochs: Epoch[] = [];
  /** Found last: nearly always the one that is asked for next. */
  #latest: Epoch | undefined;
  readonly #past: string[];
  #newestEpoch: number;
  #firstSequence: number | undefined;
  #down: { kid: Uint8Array; keys: EpochKeys; sealed: number } | undefined;

  private constructor(state: PlatformState, chance: Chance) {
    this.sessionId = state.sessionId;
    this.deviceId = state.deviceId;
    this.suite = state.suite;
    this.#aad = sessionAad(state.suite, fromHex(state.sessionId));
    this.#downRoot = state.downRoot;
    this.#chance = chance;
    this.#newestEpoch = state.newestEpoch;
    this.#firstSequence = state.firstSequence;
    this.#past = state.past;
    this.#add(state.oldestEpoch, state.chainKey);
    this.#extend();
  }

  /** Made by `acceptOpening` only. */
  static start(
    sessionId: string,
    deviceId: string,
    suite: Suite,
    roots: { up: Uint8Array; down: Uint8Array },
    chance: Chance,
  ): PlatformSession {
    const state: PlatformState = {
      sessionId,
      deviceId,
      suite,
      oldestEpoch: 0,
      chainKey: roots.up,
      newestEpoch: 0,
      firstSequence: undefined,
      downRoot: roots.down,
      past: [],
    };
    return new PlatformSession(state, chance);
  }

  get oldestEpoch(): number {
    return this.#epochs[0]!.epoch;
  }

  /** The newest epoch from which an envelope was opened. */
  get newestEpoch(): number {
    return this.#newestEpoch;
  }

  /** Number of the session's first envelope, once any envelope was opened. */
  get firstSequence(): number | undefined {
    return this.#firstSequence;
  }

  /** Kids of epochs within the window, oldest first; fewer than asked at its ends. */
  kids(fromEpoch: number, count: number): Uint8Array[] {
    return this.#epochs
      .filter((e) => e.epoch >= fromEpoch && e.epoch < fromEpoch + count)
      .map((e) => fromHex(e.kid));
  }

  /** Finds an envelope's place without opening it; undefined if it is not of this session's window.
   * Nothing is proven by that: only `open` is proof. @throws Problem "envelope-malformed". */
  locate(envelope: Uint8Array): EnvelopePlace | undefined {
    return this.place(parseEnvelope(envelope));
  }

  /** As `locate`, for one taken apart already. */
  place(parts: EnvelopeParts): EnvelopePlace | undefined {
    const entry = this.#find(parts.kid);
    const back = entry === undefined ? this.#past.lastIndexOf(hex(parts.kid)) : 0;
    if (entry === undefined && back < 0) return undefined;
    const epoch = entry?.epoch ?? this.oldestEpoch - this.#past.length + back;
    const offset = epoch * limits.epochEnvelopesMax + parts.partialIv;
    const sequence = this.#firstSequence === undefined ? undefined : this.#firstSequence + offset;
    return { epoch, index: parts.partialIv, sequence, settled: entry === undefined };
  }

  /** Is this kid one of the window's, or of an epoch settled not long ago? */
  knows(kid: Uint8Array): boolean {
    return this.#find(kid) !== undefined || this.#past.includes(hex(kid));
  }

  #find(kid: Uint8Array): Epoch | undefined {
    if (this.#latest !== undefined && isSame(this.#latest.kidBytes, kid)) return this.#latest;
    const found = this.#byKid.get(hex(kid));
    if (found !== undefined) this.#latest = found;
    return found;
  }

  #add(epoch: number, chainKey: Uint8Array): void {
    const kidBytes = epochKid(chainKey);
    const entry: Epoch = { epoch, chainKey, kidBytes, kid: hex(kidBytes), keys: undefined };
    this.#epochs.push(entry);
    this.#byKid.set(entry.kid, entry);
  }

  #extend(): void {
    const last = this.#newestEpoch + limits.epochsAheadMax;
    for (let tip = this.#epochs.at(-1)!; tip.epoch < last; tip = this.#epochs.at(-1)!) {
      this.#add(tip.epoch + 1, nextChainKey(tip.chainKey));
    }
  }

  /** Opens one envelope; order does not matter, and the same one opens again.
   * @throws Problem "envelope-malformed", "envelope-too-large", "envelope-refused" (unknown kid or
   * changed bytes: they look alike), "batch-refused" (opens, but what it holds is not canonical). */
  open(envelope: Uint8Array): OpenedEnvelope {
    return this.openParts(parseEnvelope(envelope));
  }

  /** As `open`, for one taken apart already. */
  openParts(parts: EnvelopeParts): OpenedEnvelope {
    const lock = this.lockOf(parts);
    const { suite, keys, nonce, aad } = lock;
    return this.accept(lock, suite.open(keys.key, nonce, aad, parts.sealed));
  }

  /** What opens this envelope; changes nothing. @throws Problem "envelope-refused" for an unknown kid. */
  lockOf(parts: EnvelopeParts): EnvelopeLock {
    const entry = this.#find(parts.kid);
    const { suite } = this;
    if (entry === undefined || parts.alg !== suite.alg) throw new Problem("envelope-refused");
    entry.keys ??= epochKeys(entry.chainKey, suite);
    const { keys, epoch } = entry;
    const nonce = nonceOf(keys.contextIv, parts.partialIv);
    return { suite, keys, nonce, aad: this.#aad, epoch, index: parts.partialIv };
  }

  /** Takes what a lock opened. @param plaintext undefined if the tag did not fit.
   * @throws Problem "envelope-refused", "batch-refused". */
  accept(lock: EnvelopeLock, plaintext: Uint8Array | undefined): OpenedEnvelope {
    if (plaintext === undefined) throw new Problem("envelope-refused");
    const { content, batchBytes } = readContent(plaintext);
    const { epoch, index } = lock;
    const first = content.sequence - epoch * limits.epochEnvelopesMax - index;
    if (first < 1 || (this.#firstSequence !== undefined && this.#firstSequence !== first)) {
      throw new Problem("batch-refused", { detail: "the number does not fit its place" });
    }
    if (this.#firstSequence === undefined || epoch > this.#newestEpoch) this.changed = true;
    this.#firstSequence = first;
    if (epoch > this.#newestEpoch) {
      this.#newestEpoch = epoch;
      this.#extend();
    }
    return { content, batchBytes, epoch, index };
  }

  /** Forgets what opens the epochs before the one of `sequence`: call it with the first number that is
   * not yet settled. What is forgotten no one can open again from here. */
  settledBefore(sequence: number): void {
    if (this.#firstSequence === undefined) return;
    const epoch = Math.floor((sequence - this.#firstSequence) / limits.epochEnvelopesMax);
    const oldest = Math.min(epoch, this.#newestEpoch + 1);
    while (this.#epochs[0]!.epoch < oldest) {
      const gone = this.#epochs.shift()!;
      if (this.#latest === gone) this.#latest = undefined;
      this.#byKid.delete(gone.kid);
      this.#past.push(gone.kid);
      if (this.#past.length > limits.epochsAheadMax) this.#past.shift();
      gone.chainKey.fill(0);
      this.changed = true;
    }
  }

  /** Seals an answer for the device. */
  sealDownlink(downlink: Downlink): Uint8Array {
    const plaintext = encodeDownlink(downlink);
    if (this.#down === undefined || this.#down.sealed === limits.epochEnvelopesMax) {
      const kid = this.#chance.random(ID_BYTES);
      this.#down = { kid, keys: downlinkKeys(this.#downRoot, kid, this.suite), sealed: 0 };
    }
    const index = this.#down.sealed++;
    const nonce = nonceOf(this.#down.keys.contextIv, index);
    const sealed = this.suite.seal(this.#down.keys.key, nonce, this.#aad, plaintext);
    return writeEnvelope(this.suite, this.#down.kid, index, sealed);
  }

  /** The session's secrets, for the keystore and nowhere else; without what was forgotten. */
  exportState(): Uint8Array {
    const writer = new CborWriter(256);
    writer.array(10);
    writer.int(1);
    writer.bytes(fromHex(this.sessionId));
    writer.text(this.deviceId);
    writer.int(this.suite.alg);
    writer.int(this.oldestEpoch);
    writer.bytes(this.#epochs[0]!.chainKey);
    writer.int(this.#newestEpoch);
    writer.int(this.#firstSequence ?? 0);
    writer.bytes(this.#downRoot);
    writer.bytes(fromHex(this.#past.join("")));
    return writer.take();
  }

  /** A state of any age may be imported: downlink nonces do not depend on it.
   * @throws Problem "internal-fault" for what `exportState` did not write. */
  static importState(bytes: Uint8Array, chance: Chance): PlatformSession {
    const reader = new CborReader(bytes, "internal-fault");
    reader.array(10, 10);
    reader.expect(1);
    const sessionId = hex(reader.byteString(ID_BYTES, ID_BYTES));
    const deviceId = reader.text(256);
    const suite = suiteByAlg(reader.int(-0xffff, 0xffff));
    if (suite === undefined) return reader.refuse("an unknown suite");
    const oldestEpoch = reader.int(0, SEQUENCE_MAX);
    const chainKey = reader.byteString(32, 32).slice();
    const newestEpoch = reader.int(Math.max(0, oldestEpoch - 1), SEQUENCE_MAX);
    const firstSequence = reader.int(0, SEQUENCE_MAX) || undefined;
    const downRoot = reader.byteString(32, 32).slice();
    const past = hex(reader.byteString(0, limits.epochsAheadMax * KID_BYTES)).match(/.{16}/g) ?? [];
    reader.end();
    const state: PlatformState = {
      ...{ sessionId, deviceId, suite, oldestEpoch, chainKey, newestEpoch },
      ...{ firstSequence, downRoot, past },
    };
    const session = new PlatformSession(state, chance);
    session.changed = false;
    return session;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** SHA-256 of an envelope's bytes: two envelopes of one number are the same or a fork. */
export function envelopeHash(envelope: Uint8Array): Uint8Array {
  return sha256(envelope);
}
