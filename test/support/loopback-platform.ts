/** The platform's end of sessions in memory, on the real envelope code: for tests of devices. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import type { Enrolled } from "../../src/device/identity.ts";
import type { Connection, Transport, TransportEvents } from "../../src/device/transport.ts";
import { encodeBatch } from "../../src/envelope/batch.ts";
import { batchLeaf, blockRoot, leafSalt, verifyBlock } from "../../src/envelope/block.ts";
import type { Content } from "../../src/envelope/content.ts";
import { hex, parseEnvelope } from "../../src/envelope/envelope.ts";
import { makePrekey, parseOpening } from "../../src/envelope/opening.ts";
import { joinPayload, splitPayload } from "../../src/envelope/payload.ts";
import type { Receipt } from "../../src/envelope/receipt.ts";
import { acceptOpening, envelopeHash, type PlatformSession } from "../../src/envelope/session.ts";
import { selfSigned } from "./self-signed.ts";

export const chance = { random: (bytes: number) => new Uint8Array(randomBytes(bytes)) };

interface Kept {
  content: Content;
  hash: string;
  arrivals: number;
}

export class LoopbackPlatform {
  readonly identity: Enrolled;
  readonly publicKey: Uint8Array;
  readonly certificateHash: string;
  readonly sessions = new Map<
    string,
    { keys: PlatformSession; opening: string; reply: Uint8Array }
  >();
  /** By session, then number. */
  readonly kept = new Map<string, Map<number, Kept>>();
  readonly forks: number[] = [];
  /** Envelopes that opened in no session. */
  unknown = 0;
  readonly refusedOpenings: string[] = [];
  online = true;
  receipts = true;
  /** Its database is away: it judges nothing, and says so at once. */
  notNow = false;
  storeEpoch = 1;
  /** Numbers never taken. */
  readonly refuse = new Set<number>();
  readonly #signing = generateKeyPairSync("ed25519");
  readonly #prekeys = new Map<string, Uint8Array>();
  #events: TransportEvents | undefined;

  constructor() {
    const made = selfSigned();
    this.publicKey = made.publicKey;
    this.certificateHash = createHash("sha256").update(made.der).digest("hex");
    const platformKey = this.#signing.publicKey.export({ format: "raw-public" });
    this.identity = {
      deviceId: "0190a000-0000-7000-8000-000000000001",
      keyPem: made.keyPem,
      certificatePem: made.pem,
      caPem: made.pem,
      platformKey: platformKey.toString("base64url"),
      mqttUrl: "mqtts://127.0.0.1:1",
      httpsUrl: "https://127.0.0.1:1",
    };
  }

  get signingKey(): KeyObject {
    return this.#signing.privateKey;
  }

  prekeys(count: number): Uint8Array {
    const made = Array.from({ length: count }, () =>
      makePrekey(
        { privateKey: this.#signing.privateKey },
        { kem: "hybrid", expiresMs: Date.now() + 86_400_000 },
        chance,
      ),
    );
    for (const { id, secret } of made) this.#prekeys.set(id, secret);
    return joinPayload(made.map(({ prekey }) => prekey));
  }

  transport(): Transport {
    return {
      connect: async (events): Promise<Connection> => {
        if (!this.online) throw new Error("not reachable");
        this.#events = events;
        return {
          send: async (payload) => {
            if (!this.online) throw new Error("the connection is gone");
            await Promise.resolve();
            if (this.notNow) return false;
            const touched = new Set<string>();
            for (const item of splitPayload(payload)) {
              if (item.kind === "opening") this.#open(item.bytes, events);
              else this.#take(item.bytes, touched);
            }
            for (const sessionId of touched) this.#receipt(sessionId, events);
            return true;
          },
          close: async () => undefined,
        };
      },
    };
  }

  /** Ends the connection and refuses new ones until `online` is set again. */
  cut(): void {
    this.online = false;
    this.#events?.closed();
    this.#events = undefined;
  }

  #open(bytes: Uint8Array, events: TransportEvents): void {
    const { sessionId } = parseOpening(bytes);
    const known = this.sessions.get(sessionId);
    if (known !== undefined) {
      if (known.opening !== hex(envelopeHash(bytes))) this.refusedOpenings.push(sessionId);
      else if (known.reply.length > 0) events.downlink(known.reply);
      return;
    }
    const { session, reply } = acceptOpening(bytes, {
      certificateOf: (hash) =>
        hash === this.certificateHash
          ? { deviceId: this.identity.deviceId, publicKey: this.publicKey }
          : undefined,
      prekeySecret: (id) => this.#prekeys.get(id),
      platformIdentity: { privateKey: this.#signing.privateKey },
      nowMs: Date.now(),
      storeEpoch: this.storeEpoch,
      chance,
    });
    this.sessions.set(sessionId, { keys: session, opening: hex(envelopeHash(bytes)), reply });
    this.kept.set(sessionId, new Map());
    if (reply.length > 0) events.downlink(reply);
  }

  #take(bytes: Uint8Array, touched: Set<string>): void {
    const { kid } = parseEnvelope(bytes);
    let isKnown = false;
    for (const [sessionId, { keys }] of this.sessions) {
      if (!keys.knows(kid)) continue;
      isKnown = true;
      const { content } = keys.open(bytes);
      const kept = this.kept.get(sessionId)!;
      const hash = hex(envelopeHash(bytes));
      const before = kept.get(content.sequence);
      if (before !== undefined && before.hash !== hash) this.forks.push(content.sequence);
      else if (before !== undefined) before.arrivals++;
      else if (!this.refuse.has(content.sequence)) {
        kept.set(content.sequence, { content, hash, arrivals: 1 });
      }
      if (this.receipts) touched.add(sessionId);
    }
    if (!isKnown) this.unknown++;
  }

  #receipt(sessionId: string, events: TransportEvents): void {
    const kept = this.kept.get(sessionId)!;
    const { keys } = this.sessions.get(sessionId)!;
    const settled = new Set([...kept.keys(), ...this.refuse]);
    for (const { content } of kept.values()) {
      for (const { from, to } of content.gaps ?? []) {
        for (let number = from; number <= to; number++) settled.add(number);
      }
    }
    let contiguous = keys.firstSequence! - 1;
    while (settled.has(contiguous + 1)) contiguous++;
    const bitmap = new Uint8Array(64);
    for (let bit = 0; bit < 512; bit++) {
      if (settled.has(contiguous + 1 + bit)) bitmap[bit >> 3]! |= 0x80 >> (bit & 7);
    }
    const refused: Receipt["refused"] = [...this.refuse]
      .sort((a, b) => a - b)
      .map((sequence) => ({ sequence, problem: "batch-refused" }));
    const newest = [...this.sessions.values()].at(-1)!.keys;
    const { storeEpoch } = this;
    const receipt = { sessionId, contiguous, bitmap, refused, storeEpoch };
    events.downlink(newest.sealDownlink({ receipt }));
  }

  /** Every number of every session that was kept, ascending. */
  numbers(): number[] {
    const all = [...this.kept.values()].flatMap((session) => [...session.keys()]);
    return all.sort((a, b) => a - b);
  }

  /** How many kept batches lie under a block that verifies; throws when a block does not. */
  provenBatches(): number {
    let proven = 0;
    for (const [sessionId, session] of this.kept) {
      const contents = [...session.values()].map(({ content }) => content);
      const saltKey = contents.find((c) => c.saltKey !== undefined)?.saltKey;
      for (const { block } of contents) {
        if (block === undefined || saltKey === undefined) continue;
        const signer = { certificateHash: this.certificateHash, publicKey: this.publicKey };
        const read = verifyBlock(block, signer);
        if (read?.sessionId !== sessionId) throw new Error("a block does not verify");
        const leaves = contents
          .filter((c) => c.batch && c.sequence >= read.from && c.sequence <= read.to)
          .sort((a, b) => a.sequence - b.sequence)
          .map((c) => batchLeaf(leafSalt(saltKey, c.sequence), encodeBatch(c.batch!)));
        if (hex(blockRoot(leaves)) !== hex(read.root)) throw new Error("a root does not fit");
        proven += read.count;
      }
    }
    return proven;
  }
}
