/** Writing Observations: one, or a batch Bundle of them. Each is decided for its own patient. */
import type { Bundle, BundleEntry, Observation, OperationOutcome } from "@medplum/fhirtypes";
import type { Access } from "../access/access.ts";
import { Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import type { Clock } from "../clock.ts";
import { toOperationOutcome, toProblem } from "../http/respond.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Resources, ResourceVersion, ResourceWrite } from "../store/resources.ts";
import type { ObservationIds } from "./observation-id.ts";
import { FhirRefusal, refusalOutcome } from "./outcome.ts";
import { validateObservation } from "./validate.ts";
import { subjectOf, toWrite, writtenObservation } from "./written.ts";

export interface Created {
  readonly observation: Observation;
  readonly version: ResourceVersion;
}

export class Creation {
  readonly #access: Access;
  readonly #resources: Resources;
  readonly #ids: ObservationIds;
  readonly #clock: Clock;

  constructor(o: { access: Access; resources: Resources; ids: ObservationIds; clock: Clock }) {
    this.#access = o.access;
    this.#resources = o.resources;
    this.#ids = o.ids;
    this.#clock = o.clock;
  }

  /** @throws FhirRefusal "resource-invalid"; Problem "not-found" for a patient that is not theirs. */
  async create(principal: Principal, body: unknown): Promise<Created> {
    const write = await this.#judge(principal, body);
    return this.#created(write, await this.#resources.put(write));
  }

  /** Entries are independent (FHIR R4 §3.1.0.11): what is refused says why in its own place, and the
   * rest is stored in one commit.
   * @throws Problem "bundle-not-supported". */
  async batch(principal: Principal, body: unknown, requestId: string): Promise<Bundle> {
    const entries = entriesOf(body);
    const verdicts = await Promise.all(
      entries.map(async (entry) => {
        try {
          checkRequest(entry);
          return await this.#judge(principal, entry.resource);
        } catch (error) {
          return toProblem(error, requestId);
        }
      }),
    );
    const writes = verdicts.filter((verdict) => !(verdict instanceof Problem)) as ResourceWrite[];
    const versions = writes.length === 0 ? [] : await this.#resources.putMany(writes);
    let at = 0;
    const answers = verdicts.map((verdict): BundleEntry => {
      if (verdict instanceof Problem) return refusedEntry(verdict);
      const version = versions[at++];
      if (version === undefined) throw new Error("the store answered for fewer than were written");
      return createdEntry(this.#created(verdict, version));
    });
    return { resourceType: "Bundle", type: "batch-response", entry: answers };
  }

  async #judge(principal: Principal, body: unknown): Promise<ResourceWrite> {
    const observation = validateObservation(body);
    const subject = subjectOf(observation);
    const answer = await this.#access.authorize({
      principal,
      patientId: subject.patientId,
      purpose: "TREAT",
      categories: [subject.compartment],
      action: "create",
    });
    if (!Permit.is(answer)) throw new Problem("not-found");
    return toWrite(observation, subject, this.#clock);
  }

  #created(write: ResourceWrite, version: ResourceVersion): Created {
    const stored = { ...write, ...version, deleted: false };
    return { observation: writtenObservation(stored, this.#ids), version };
  }
}

function entriesOf(body: unknown): BundleEntry[] {
  const bundle = body as Partial<Bundle> | null;
  if (bundle?.resourceType !== "Bundle" || bundle.type !== "batch") {
    throw new Problem("bundle-not-supported", { detail: "a Bundle of type batch is taken here" });
  }
  const entries = bundle.entry ?? [];
  if (!Array.isArray(entries) || entries.length > limits.bundleEntriesMax) {
    throw new Problem("bundle-not-supported", {
      detail: `a batch has at most ${limits.bundleEntriesMax} entries`,
    });
  }
  return entries;
}

function checkRequest(entry: BundleEntry | null): void {
  const request = entry?.request;
  if (request?.method !== "POST" || request.url !== "Observation") {
    throw new Problem("bundle-not-supported", { detail: "each entry is a POST to Observation" });
  }
  if (request.ifNoneExist !== undefined) throw conditional();
}

/** Ignoring the condition would store what the caller asked us not to store twice. */
export function conditional(): Problem {
  return new Problem("search-not-understood", { detail: "conditional create is not supported" });
}

function refusedEntry(problem: Problem): BundleEntry {
  const outcome = (
    problem instanceof FhirRefusal ? refusalOutcome(problem) : toOperationOutcome(problem)
  ) as OperationOutcome;
  return { response: { status: String(problem.row.status), outcome } };
}

function createdEntry({ observation, version }: Created): BundleEntry {
  return {
    response: {
      status: "201",
      location: `Observation/${observation.id}/_history/${version.version}`,
      etag: `W/"${version.version}"`,
      lastModified: new Date(version.writtenMs).toISOString(),
    },
  };
}
