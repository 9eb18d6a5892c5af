/**
 * The registry at work: PostgreSQL keeps it, memory answers. One platform process serves one
 * organisation, so memory is loaded once and changed after each commit, never before. Past 400 lines
 * because every change of tables and memory must be seen to come in one order.
 */
import { createHash, X509Certificate } from "node:crypto";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import { openSealedFields, type SealedFields, type Secrets } from "../sealed-fields.ts";
import { type Authority, type CertificateRequest, openAuthority } from "./authority.ts";
import { claimHash, newClaimCode } from "./claim-code.ts";
import { Listeners } from "./listeners.ts";
import { barredBy, RegistryMemory } from "./memory.ts";
import { openPlatformIdentity, type PlatformIdentity } from "./platform-identity.ts";
import type {
  Assignment,
  Device,
  DeviceCertificate,
  DeviceState,
  EnrolledDevice,
  NewClaim,
  Registry,
  RegistryEvents,
  ServerTls,
} from "./registry.ts";
import { type ClaimRow, registryTables } from "./tables.ts";
import { reassigned } from "./timeline.ts";

export interface RegistryOptions {
  readonly database: Database;
  /** `vault.secrets`: the authority's key, the field key, the platform's identity. */
  readonly secrets: Secrets;
  readonly clock: Clock;
  /** Shown in the authority's certificate. */
  readonly organisation: string;
  /** Names of the doors' server certificate beyond localhost, 127.0.0.1 and ::1. */
  readonly serverNames?: readonly string[];
  /** The operator's own server certificate and key, PEM, instead of one issued here. */
  readonly serverTls?: { readonly cert: string; readonly key: string };
}

type Client = Parameters<Parameters<Database["transaction"]>[0]>[0];

/** Loads the registry; makes the authority on the first start. */
export async function openRegistry(o: RegistryOptions): Promise<Registry> {
  const authority = await openAuthority(o);
  const tls = await doorTls(o, authority);
  const fields = await openSealedFields({
    secrets: o.secrets,
    tenantId: o.database.tenantId,
    name: "registry",
    clock: o.clock,
  });
  const platformIdentity = await openPlatformIdentity(o.secrets);
  const tables = registryTables(o.database);
  const memory = new RegistryMemory();
  memory.load(await tables.load(), fields);
  return new DeviceRegistry({
    options: o,
    authority,
    tls,
    fields,
    tables,
    memory,
    platformIdentity,
  });
}

async function doorTls(o: RegistryOptions, authority: Authority): Promise<ServerTls> {
  if (o.serverTls !== undefined) return { ...o.serverTls, ca: authority.certificatePem };
  const names = ["localhost", "127.0.0.1", "::1", ...(o.serverNames ?? [])];
  const own = await authority.serverCertificate([...new Set(names)]);
  return { ...own, ca: authority.certificatePem };
}

class DeviceRegistry implements Registry {
  readonly caPem: string;
  readonly platformIdentity: PlatformIdentity;
  readonly #o: RegistryOptions;
  readonly #authority: Authority;
  readonly #tls: ServerTls;
  readonly #fields: SealedFields;
  readonly #tables: ReturnType<typeof registryTables>;
  #memory: RegistryMemory;
  readonly #listeners = new Listeners<RegistryEvents>();
  /** The last change at work: changes come one after the other, so that memory and tables agree. */
  #turn: Promise<unknown> = Promise.resolve();
  /** A change failed without a verdict of ours: its commit may stand though its answer was lost. */
  #isDoubtful = false;

  constructor(o: {
    options: RegistryOptions;
    authority: Authority;
    tls: ServerTls;
    fields: SealedFields;
    tables: ReturnType<typeof registryTables>;
    memory: RegistryMemory;
    platformIdentity: PlatformIdentity;
  }) {
    this.#o = o.options;
    this.#authority = o.authority;
    this.#tls = o.tls;
    this.#fields = o.fields;
    this.#tables = o.tables;
    this.#memory = o.memory;
    this.platformIdentity = o.platformIdentity;
    this.caPem = o.authority.certificatePem;
  }

  serverTls(): ServerTls {
    return this.#tls;
  }
  certificate(hashHex: string): DeviceCertificate | undefined {
    return this.#memory.certificate(hashHex);
  }
  deviceByCertificate(hashHex: string): Device | undefined {
    const certificate = this.#memory.certificate(hashHex);
    return certificate && this.#memory.device(certificate.deviceId);
  }
  device(deviceId: string): Device | undefined {
    return this.#memory.device(deviceId);
  }
  devices(): Device[] {
    return this.#memory.devices();
  }
  authenticate(peer: X509Certificate): { deviceId: string; certificateHash: string } | ProblemCode {
    return this.#memory.authenticate(peer.raw, this.#nowMs());
  }
  patientOf(deviceId: string, atMs: number): string | undefined {
    return this.#memory.patientOf(deviceId, atMs);
  }
  assignmentsOf(o: { deviceId?: string; patientId?: string }): Assignment[] {
    return this.#memory.assignmentsOf(o);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      if (this.#isDoubtful) await this.#readAgain();
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Problem) || error.code === "storage-unavailable") {
          this.#isDoubtful = true;
        }
        throw error;
      }
    });
    this.#turn = mine.catch(() => undefined); // the caller hears it; the next one still gets its turn
    return mine;
  }

  /** Takes memory from the tables and tells what had not been told. */
  async #readAgain(): Promise<void> {
    const known = this.#memory;
    const memory = new RegistryMemory();
    memory.load(await this.#tables.load(), this.#fields);
    this.#memory = memory;
    this.#isDoubtful = false;
    for (const { id: deviceId, state, certificateHashes } of memory.devices()) {
      const before = known.device(deviceId);
      const isSame =
        before?.state === state && before.certificateHashes.length === certificateHashes.length;
      if (!isSame) this.#listeners.emit("changed", { deviceId });
      const problem = barredBy(state);
      if (problem !== undefined && before?.state !== state) {
        this.#listeners.emit("barred", { deviceId, problem });
      }
      const told = new Set(known.timeline(deviceId).map((span) => JSON.stringify(span)));
      for (const span of memory.timeline(deviceId)) {
        const isTold = told.has(JSON.stringify(span));
        if (!isTold) this.#listeners.emit("assigned", { deviceId, ...span });
      }
    }
  }

  createClaim(o: NewClaim): Promise<{ deviceId: string; claimCode: string; expiresMs: number }> {
    return this.#inTurn(() => this.#createClaim(o));
  }

  async #createClaim(
    o: NewClaim,
  ): Promise<{ deviceId: string; claimCode: string; expiresMs: number }> {
    const nowMs = this.#nowMs();
    const claimCode = newClaimCode(this.#o.clock);
    const expiresMs = nowMs + limits.claimLifeMs;
    const fresh = "deviceId" in o ? undefined : this.#newDevice(o);
    const deviceId = "deviceId" in o ? o.deviceId : fresh!.id;
    if (fresh === undefined) this.#known(deviceId, ["claimed", "enrolled", "suspended"]);
    await this.#o.database.transaction(async (client) => {
      if (fresh !== undefined) {
        const { label, kind, note } = fresh;
        const sealed = this.#fields.seal(
          `device/${deviceId}`,
          JSON.stringify({ label, kind, note }),
        );
        await this.#tables.addDevice(client, { deviceId, sealed, nowMs });
      }
      // One code at a time: whoever found an older one must not become this device beside it.
      const before = await this.#tables.takeBackClaims(client, deviceId);
      const isGiven = o.patientId !== undefined;
      await this.#tables.addClaim(client, {
        hash: claimHash(this.#fields, claimCode),
        deviceId,
        expiresMs,
        patientId: isGiven ? o.patientId : (before?.patient_id ?? undefined),
        assignedFromMs: isGiven ? o.assignedFromMs : (before?.assigned_from_ms ?? undefined),
      });
    });
    if (fresh !== undefined) this.#memory.add(fresh);
    this.#listeners.emit("changed", { deviceId });
    return { deviceId, claimCode, expiresMs };
  }

  #newDevice(o: { label: string; kind: string; note?: string | undefined }): Device {
    if (this.#memory.deviceCount >= limits.devicesMax) {
      throw new Problem("device-state-conflict", { detail: "no room for another device" });
    }
    return {
      id: this.#o.clock.uuid(),
      label: o.label,
      kind: o.kind,
      note: o.note ?? "",
      state: "claimed",
      certificateHashes: [],
      enrolledMs: undefined,
    };
  }

  async enrol(o: { claimCode: string; csr: string }): Promise<EnrolledDevice> {
    // The request is judged first and alone, so that a bad one tells nothing about the code.
    const request = await this.#authority.parseRequest(o.csr);
    return this.#inTurn(() => this.#enrolWith(claimHash(this.#fields, o.claimCode), request));
  }

  async #enrolWith(hash: Uint8Array, request: CertificateRequest): Promise<EnrolledDevice> {
    const nowMs = this.#nowMs();
    const done = await this.#o.database.transaction(async (client) => {
      const claim = await this.#tables.lockClaim(client, hash);
      if (claim === undefined || nowMs >= claim.expires_ms) throw new Problem("claim-refused");
      if (claim.used_ms !== null) return this.#enrolledBefore(claim, request);
      return this.#enrolNow(client, hash, claim, request, nowMs);
    });
    // Crash before this line: the next start loads what was committed.
    const { deviceId, der } = done;
    this.#memory.addCertificate(deviceId, der);
    if (done.isNew) {
      const enrolledMs = this.#memory.device(deviceId)?.enrolledMs ?? nowMs;
      this.#memory.change(deviceId, { state: done.state, enrolledMs });
      this.#listeners.emit("changed", { deviceId });
      if (done.change !== undefined) this.#applyAssignment(deviceId, done.change);
    }
    return { deviceId, certificatePem: toPem(der), caPem: this.#trustPem() };
  }

  #enrolledBefore(claim: ClaimRow, request: CertificateRequest) {
    const certificate = this.#memory.certificate(claim.certificate_hash?.toString("hex") ?? "");
    const keyHash = certificate && createHash("sha256").update(certificate.publicKey).digest("hex");
    if (certificate === undefined || keyHash !== request.keyHash) {
      throw new Problem("claim-refused");
    }
    return { deviceId: claim.device_id, der: certificate.der, isNew: false as const };
  }

  async #enrolNow(
    client: Client,
    hash: Uint8Array,
    claim: ClaimRow,
    request: CertificateRequest,
    nowMs: number,
  ) {
    const deviceId = claim.device_id;
    const certificate = await this.#authority.issueDevice(deviceId, request);
    // A code given out before a suspension does not lift it: that is for `resume`.
    const isSuspended = this.#memory.device(deviceId)?.state === "suspended";
    const state = isSuspended ? "suspended" : "enrolled";
    const isOpen = await this.#tables.changeState(client, {
      deviceId,
      from: isSuspended ? ["suspended"] : ["claimed", "enrolled"],
      to: state,
      enrolledMs: nowMs,
    });
    if (!isOpen) throw new Problem("claim-refused");
    await this.#tables.addCertificate(client, {
      hash: certificate.hash,
      deviceId,
      der: certificate.der,
      nowMs,
    });
    await this.#tables.spendClaim(client, hash, nowMs, certificate.hash);
    const change =
      claim.patient_id === null
        ? undefined
        : await this.#writeAssignment(client, {
            deviceId,
            patientId: claim.patient_id,
            fromMs: claim.assigned_from_ms ?? nowMs,
          });
    return { deviceId, der: certificate.der, isNew: true as const, state, change } as const;
  }

  renew(deviceId: string, csr: string) {
    return this.#inTurn(() => this.#renew(deviceId, csr));
  }

  async #renew(deviceId: string, csr: string) {
    this.#known(deviceId, ["enrolled", "quarantined"]);
    const request = await this.#authority.parseRequest(csr);
    const certificate = await this.#authority.issueDevice(deviceId, request);
    await this.#o.database.transaction((client) =>
      this.#tables.addCertificate(client, {
        hash: certificate.hash,
        deviceId,
        der: certificate.der,
        nowMs: this.#nowMs(),
      }),
    );
    this.#memory.addCertificate(deviceId, certificate.der);
    this.#listeners.emit("changed", { deviceId });
    return { certificatePem: certificate.pem, caPem: this.#trustPem() };
  }

  async assign(o: {
    deviceId: string;
    patientId: string | undefined;
    fromMs?: number;
  }): Promise<void> {
    return this.#inTurn(async () => {
      this.#known(o.deviceId, ["claimed", "enrolled", "suspended", "quarantined"]);
      const { deviceId, patientId } = o;
      const fromMs = o.fromMs ?? this.#nowMs();
      const change = await this.#o.database.transaction((client) =>
        this.#writeAssignment(client, { deviceId, patientId, fromMs }),
      );
      this.#applyAssignment(deviceId, change);
    });
  }

  async #writeAssignment(
    client: Client,
    o: { deviceId: string; patientId: string | undefined; fromMs: number },
  ): Promise<AssignmentChange> {
    const change = reassigned(this.#memory.timeline(o.deviceId), o.patientId, o.fromMs);
    const { deviceId } = o;
    if (change.ended !== undefined) {
      const { patientId, fromMs } = change.ended;
      await this.#tables.endAssignment(client, { deviceId, patientId, fromMs, toMs: o.fromMs });
    }
    if (change.begun !== undefined) {
      const { patientId, fromMs } = change.begun;
      await this.#tables.addAssignment(client, {
        deviceId,
        patientId,
        fromMs,
        nowMs: this.#nowMs(),
      });
    }
    return change;
  }

  #applyAssignment(deviceId: string, change: AssignmentChange): void {
    this.#memory.setTimeline(deviceId, change.timeline);
    if (change.ended !== undefined) this.#listeners.emit("assigned", { deviceId, ...change.ended });
    if (change.begun !== undefined) this.#listeners.emit("assigned", { deviceId, ...change.begun });
  }

  suspend(deviceId: string): Promise<void> {
    return this.#move(deviceId, ["enrolled", "quarantined"], "suspended");
  }
  resume(deviceId: string): Promise<void> {
    return this.#move(deviceId, ["suspended", "quarantined"], "enrolled");
  }
  quarantine(deviceId: string): Promise<void> {
    return this.#move(deviceId, ["enrolled"], "quarantined");
  }
  revoke(deviceId: string): Promise<void> {
    return this.#move(deviceId, ["claimed", "enrolled", "suspended", "quarantined"], "revoked");
  }

  #move(deviceId: string, from: readonly DeviceState[], to: DeviceState): Promise<void> {
    return this.#inTurn(async () => {
      this.#known(deviceId, [...from, to]);
      if (this.#memory.device(deviceId)?.state === to) return;
      // `to` is among them: a change whose answer was lost is done, and asking again completes it here.
      const done = await this.#o.database.transaction((client) =>
        this.#tables.changeState(client, { deviceId, from: [...from, to], to }),
      );
      if (!done) throw new Problem("device-state-conflict");
      this.#memory.change(deviceId, { state: to });
      this.#listeners.emit("changed", { deviceId });
      const problem = barredBy(to);
      if (problem !== undefined) this.#listeners.emit("barred", { deviceId, problem });
    });
  }

  #known(deviceId: string, states: readonly DeviceState[]): void {
    const device = this.#memory.device(deviceId);
    if (device === undefined) throw new Problem("not-found");
    if (!states.includes(device.state)) {
      throw new Problem("device-state-conflict", { detail: `it is ${device.state}` });
    }
  }

  /** What a device must trust to reach the doors: our root, and the operator's chain if there is one. */
  #trustPem(): string {
    if (this.#o.serverTls === undefined) return this.caPem;
    const chain = this.#o.serverTls.cert.match(
      /-----BEGIN CERTIFICATE-----[^-]+-----END [^-]+-----/g,
    );
    return [this.caPem.trim(), ...(chain ?? []).slice(1)].join("\n");
  }

  #nowMs(): number {
    return Math.floor(this.#o.clock.nowMs());
  }

  on<E extends keyof RegistryEvents>(
    event: E,
    listener: (...args: RegistryEvents[E]) => void,
  ): () => void {
    return this.#listeners.on(event, listener);
  }
}

type AssignmentChange = ReturnType<typeof reassigned>;

function toPem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}
