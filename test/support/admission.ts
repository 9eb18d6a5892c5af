/**
 * Admission over real parts (database, keystore, registry, store) without doors, and a device that
 * seals like one but can also misbehave. `restart()` stops without a farewell and starts anew.
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode } from "cborg";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Batch } from "../../src/envelope/batch.ts";
import { encodeBatch } from "../../src/envelope/batch.ts";
import { batchLeaf, blockRoot, leafSalt, signBlock } from "../../src/envelope/block.ts";
import type { Content } from "../../src/envelope/content.ts";
import { fromHex, sessionAad, writeEnvelope } from "../../src/envelope/envelope.ts";
import type { DeviceIdentity } from "../../src/envelope/opening.ts";
import { joinPayload, splitPayload } from "../../src/envelope/payload.ts";
import { epochKeys, epochKid, nonceOf } from "../../src/envelope/ratchet.ts";
import type { Receipt } from "../../src/envelope/receipt.ts";
import { DeviceSession, envelopeHash } from "../../src/envelope/session.ts";
import type { KemMode } from "../../src/envelope/shares.ts";
import { AES_256_GCM, type Suite } from "../../src/envelope/suites.ts";
import { type Admission, createAdmission } from "../../src/ingest/admit.ts";
import type { Arrival, Verdict } from "../../src/ingest/verdict.ts";
import type { Database } from "../../src/postgres/database.ts";
import { Problem } from "../../src/problems.ts";
import { openRegistry } from "../../src/registry/open.ts";
import { createStore } from "../../src/store/append.ts";
import type { Vault } from "../../src/vault/seal.ts";
import { openVault } from "../../src/vault/vault.ts";
import { newRequest } from "./csr.ts";
import { type AtEnd, testDatabase } from "./database.ts";
import { testPermit } from "./permits.ts";

const HEART_RATE = 147842;

type Registry = Awaited<ReturnType<typeof openRegistry>>;

export interface World {
  readonly database: Database;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly vault: Vault;
  readonly admission: Admission;
  readonly store: ReturnType<typeof createStore>;
  /** Enrols a device and, unless told otherwise, assigns it to a new patient for all time. */
  device(o?: { assigned?: boolean; suite?: Suite; kem?: KemMode }): Promise<TestDevice>;
  /** Everything stored of a patient, as (sequence, time, mantissa, marks). */
  stored(patientId: string): Promise<StoredSample[]>;
  /** Kinds of security events so far. */
  events(): Promise<string[]>;
  /** Ends admission, store, registry and keystore and opens them on the same database.
   * @param o.kill without a farewell: what was not committed then never will be. */
  restart(o?: { kill?: boolean; database?: Database }): Promise<void>;
}

export interface StoredSample {
  readonly sessionId: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly mantissa: number;
  readonly marks: number;
}

export async function admissionWorld(
  t: AtEnd,
  o: { clock?: Clock; database?: Database } = {},
): Promise<World> {
  const clock = o.clock ?? systemClock;
  let close = async () => {};
  t.after(() => close());
  let database = o.database ?? (await testDatabase(t));
  const folder = mkdtempSync(join(tmpdir(), "admission-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const start = async () => {
    const life = mortal(database);
    const vault = await openVault({
      dir: join(folder, "keystore"),
      passphrase: "a passphrase of a test",
      tenantId: database.tenantId,
      clock,
    });
    const { secrets } = vault;
    const registry = await openRegistry({ database, secrets, clock, organisation: "Test ward" });
    const store = createStore({ database: life.database, vault, clock });
    const admission = await createAdmission({
      database: life.database,
      registry,
      vault,
      store,
      clock,
    });
    return { vault, registry, store, admission, life };
  };
  let parts = await start();
  const stop = async () => {
    await parts.admission.close();
    await parts.store.close();
    parts.vault.close();
  };
  close = stop;
  const world: World = {
    clock,
    get database() {
      return database;
    },
    get registry() {
      return parts.registry;
    },
    get vault() {
      return parts.vault;
    },
    get admission() {
      return parts.admission;
    },
    get store() {
      return parts.store;
    },
    device: (options) => TestDevice.enrol(world, options ?? {}),
    async stored(patientId) {
      const permit = testPermit({ tenantId: database.tenantId, patientId });
      const found: StoredSample[] = [];
      const everything = { fromMs: 0, toMs: 8_000_000_000_000 };
      for await (const chunk of parts.store.read(permit, everything)) {
        for (let i = 0; i < chunk.mantissas.length; i++) {
          found.push({
            sessionId: chunk.sessions[chunk.sessionOf[i] as number] as string,
            sequence: chunk.sequences[i] as number,
            timeMs: chunk.timesMs[i] as number,
            mantissa: chunk.mantissas[i] as number,
            marks: chunk.marks[i] as number,
          });
        }
      }
      return found.sort((a, b) => a.sequence - b.sequence);
    },
    async events() {
      await parts.admission.idle();
      await parts.admission.events.flush();
      const found = await database.pool.query<{ kind: string }>(
        "SELECT DISTINCT kind FROM security_event ORDER BY kind",
      );
      return found.rows.map((row) => row.kind);
    },
    async restart(again = {}) {
      if (again.kill) parts.life.kill();
      await stop();
      if (again.database) database = again.database;
      parts = await start();
    },
  };
  return world;
}

/** A database that one life of the platform uses: once killed, that life writes nothing more. */
function mortal(database: Database): { database: Database; kill(): void } {
  let isDead = false;
  const check = () => {
    if (isDead) throw new Problem("storage-unavailable", { detail: "this life is over" });
  };
  const pool = new Proxy(database.pool, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        check();
        return (value as (...a: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return {
    kill() {
      isDead = true;
    },
    database: {
      ...database,
      pool,
      async transaction(work) {
        check();
        return database.transaction(async (client) => {
          const result = await work(client);
          check(); // killed before COMMIT: the server rolls back
          return result;
        });
      },
    },
  };
}

/** What a device remembers through a power cut, and what an old copy of it brings back. */
interface DeviceMemory {
  lastSequence: number;
  previous: { sessionId: string; lastSequence: number; head: Uint8Array } | undefined;
}

export class TestDevice {
  readonly world: World;
  readonly deviceId: string;
  readonly patientId: string;
  readonly certificateHash: string;
  readonly identity: DeviceIdentity;
  readonly suite: Suite;
  readonly kem: KemMode;
  memory: DeviceMemory = { lastSequence: 0, previous: undefined };
  session!: DeviceSession;
  /** A second holder of the same session keys: the running device's memory was copied. */
  twin!: DeviceSession;
  #prekey: Uint8Array | undefined;
  /** Envelopes without a receipt, by number. */
  readonly spool = new Map<number, Uint8Array>();
  /** Numbers that carried a signed block and no batch. */
  readonly blocks = new Set<number>();
  readonly saltKey = new Uint8Array(32).fill(7);
  #isFirst = true;
  #leaves: { number: number; leaf: Uint8Array }[] = [];
  #blockFrom = 1;
  #clockMs: number;

  private constructor(
    world: World,
    o: {
      deviceId: string;
      patientId: string;
      certificateHash: string;
      identity: DeviceIdentity;
      suite: Suite;
      kem: KemMode;
    },
  ) {
    this.world = world;
    this.deviceId = o.deviceId;
    this.patientId = o.patientId;
    this.certificateHash = o.certificateHash;
    this.identity = o.identity;
    this.suite = o.suite;
    this.kem = o.kem;
    this.#clockMs = Math.floor(world.clock.nowMs());
  }

  static async enrol(
    world: World,
    o: { assigned?: boolean; suite?: Suite; kem?: KemMode },
  ): Promise<TestDevice> {
    const { registry, clock } = world;
    const patientId = clock.uuid();
    const { claimCode } = await registry.createClaim({
      label: "Monitor",
      kind: "patient-monitor",
      ...(o.assigned === false ? {} : { patientId, assignedFromMs: 0 }),
    });
    const { csr, keyPem } = await newRequest();
    const enrolled = await registry.enrol({ claimCode, csr });
    const certificate = new X509Certificate(enrolled.certificatePem);
    const hash = createHash("sha256").update(certificate.raw).digest();
    return new TestDevice(world, {
      deviceId: enrolled.deviceId,
      patientId,
      certificateHash: hash.toString("hex"),
      identity: {
        certificateHash: hash,
        privateKey: createPrivateKey(keyPem),
        platformKey: createPublicKey({
          key: { kty: "OKP", crv: "Ed25519", x: platformKeyOf(registry) },
          format: "jwk",
        }),
      },
      suite: o.suite ?? AES_256_GCM,
      kem: o.kem ?? "classical",
    });
  }

  arrival(bytes: Uint8Array, door: Arrival["door"] = "https"): Arrival {
    const { deviceId, certificateHash } = this;
    return {
      door,
      deviceId,
      certificateHash,
      bytes,
      receivedMs: Math.floor(this.world.clock.nowMs()),
    };
  }

  send(bytes: Uint8Array, door?: Arrival["door"]): Promise<Verdict> {
    return this.world.admission.admit(this.arrival(bytes, door));
  }

  /** Opens a session through the door. @returns the opening's bytes. */
  async open(): Promise<Uint8Array> {
    const begun = this.begin();
    const verdict = await this.send(begun.opening);
    const reply = verdict.downlink
      .flatMap((bytes) => splitPayload(bytes))
      .find((item) => item.kind === "reply");
    if (reply === undefined) throw new Error(`no session: ${verdict.problem}`);
    begun.finish(reply.bytes);
    return begun.opening;
  }

  begin(): { opening: Uint8Array; sessionId: string; finish(reply: Uint8Array): void } {
    const begun = DeviceSession.begin(this.identity, {
      suite: this.suite,
      kem: this.kem,
      firstSequence: this.memory.lastSequence + 1,
      nowMs: this.#clockMs,
      chance: this.world.clock,
    });
    return {
      opening: begun.opening,
      sessionId: begun.sessionId,
      finish: (reply) => {
        this.use(begun.finish(reply));
        this.twin = begun.finish(reply);
      },
    };
  }

  /** Another device with the same key and the same memory. */
  copy(): TestDevice {
    const copy = new TestDevice(this.world, this);
    copy.memory = { ...this.memory };
    return copy;
  }

  /** Starts on a prekey that the platform handed out. @param o.again on the one used before. */
  async fromPrekey(o: { again?: boolean } = {}): Promise<{ opening: Uint8Array }> {
    if (!o.again || this.#prekey === undefined) {
      const bundle = await this.world.admission.prekeysFor(this.deviceId);
      const prekeys = splitPayload(bundle);
      this.#prekey = prekeys[this.kem === "hybrid" ? 0 : 1]?.bytes;
    }
    if (this.#prekey === undefined) throw new Error("no prekey was handed out");
    const { opening, session } = DeviceSession.fromPrekey(this.identity, this.#prekey, {
      suite: this.suite,
      firstSequence: this.memory.lastSequence + 1,
      nowMs: this.#clockMs,
      chance: this.world.clock,
    });
    this.use(session);
    return { opening };
  }

  use(session: DeviceSession): void {
    this.session = session;
    this.#isFirst = true;
    this.#leaves = [];
    this.#blockFrom = session.nextSequence;
  }

  batch(values: readonly number[]): Batch {
    const sequence = this.session.nextSequence;
    const timesMs = values.map(() => ++this.#clockMs);
    return {
      sequence,
      clockMs: this.#clockMs,
      offsetMs: 0,
      points: [
        {
          mdc: HEART_RATE,
          exponent: 0,
          timesMs,
          mantissas: [...values],
          quality: values.map(() => 0),
        },
      ],
      waveforms: [],
    };
  }

  /** Seals values in the next envelope and keeps it in the spool. */
  seal(values: readonly number[], extra: Partial<Content> = {}): Uint8Array {
    return this.sealContent({ batch: this.batch(values), ...extra });
  }

  sealContent(content: Omit<Content, "sequence">): Uint8Array {
    const sequence = this.session.nextSequence;
    const first = this.#isFirst
      ? {
          saltKey: this.saltKey,
          ...(this.memory.previous ? { previous: this.memory.previous } : {}),
        }
      : {};
    this.#isFirst = false;
    const bytes = this.session.seal({ sequence, ...first, ...content });
    if (content.batch) {
      const leaf = batchLeaf(leafSalt(this.saltKey, sequence), encodeBatch(content.batch));
      this.#leaves.push({ number: sequence, leaf });
    }
    this.spool.set(sequence, bytes);
    this.memory = {
      lastSequence: sequence,
      previous: {
        sessionId: this.session.sessionId,
        lastSequence: sequence,
        head: envelopeHash(bytes),
      },
    };
    return bytes;
  }

  /** Seals any bytes as if they were the content of that number: what a faulty device would send. */
  sealRaw(plaintext: Uint8Array, sequence: number): Uint8Array {
    const secret = this.world.vault.secrets.get("session", this.session.sessionId);
    if (secret === undefined) throw new Error("the session has no keys any more");
    const state = decode(secret.subarray(2 + 64 + (secret[65] as number))) as unknown[];
    const keys = epochKeys(state[5] as Uint8Array, this.suite);
    const kid = epochKid(state[5] as Uint8Array);
    const index = sequence - (state[7] as number);
    const nonce = nonceOf(keys.contextIv, index);
    const aad = sessionAad(this.suite, fromHex(this.session.sessionId));
    const sealed = this.suite.seal(keys.key, nonce, aad, plaintext);
    return writeEnvelope(this.suite, kid, index, sealed);
  }

  /** Seals a signed block over everything since the last one. */
  sealBlock(o: { close?: boolean; spoil?: boolean } = {}): Uint8Array {
    const carrier = this.session.nextSequence;
    const root = blockRoot(this.#leaves.map(({ leaf }) => leaf)).slice();
    if (o.spoil) root[0] = (root[0] as number) ^ 1;
    const block = signBlock(this.identity, {
      sessionId: this.session.sessionId,
      from: this.#blockFrom,
      to: carrier - 1,
      count: this.#leaves.length,
      root,
      signedMs: this.#clockMs,
      lastSequence: o.close ? carrier : 0,
    });
    this.#leaves = [];
    this.#blockFrom = carrier + 1;
    this.blocks.add(carrier);
    return this.sealContent({ block, ...(o.close ? { close: true } : {}) });
  }

  /** The receipts among what came down. */
  receipts(verdict: Verdict): Receipt[] {
    const found: Receipt[] = [];
    for (const item of verdict.downlink.flatMap((bytes) => splitPayload(bytes))) {
      if (item.kind !== "envelope") continue;
      const { receipt } = this.session.openDownlink(item.bytes);
      if (receipt) found.push(receipt);
    }
    return found;
  }
}

export { joinPayload };

/** A wall clock that one can move; time that only grows is left alone. */
export function movedClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + aheadMs,
    advance(ms) {
      aheadMs += ms;
    },
  };
}

function platformKeyOf(registry: Registry): string {
  return Buffer.from(registry.platformIdentity.publicKey).toString("base64url");
}
