/** Encrypted, versioned FHIR resources. */
import type { Compartment, Permit } from "../access/permit.ts";

/** A FHIR R4 resource as JSON; its form is the FHIR folder's business. */
export interface ResourceJson {
  readonly resourceType: string;
  readonly id?: string;
  readonly [field: string]: unknown;
}

export interface ResourceWrite {
  /** Whose it is: a patient, or the tenant id for what belongs to the organisation (Device). */
  readonly patientId: string;
  readonly compartment: Compartment;
  /** UUID, lower case. */
  readonly id: string;
  /** What the date search compares (effective time, birth, last change), UTC ms. Stored readable. */
  readonly timeMs: number;
  readonly resource: ResourceJson;
  /** If-Match: the version this one follows; 0: must be new. Without it the newest is followed. */
  readonly expectedVersion?: number;
  /** Whole-value equality tokens: `{column: "identifier", value: "system|value"}`. */
  readonly tokens?: readonly SearchValue[];
  /** Truncated tokens, for names and birth dates: they find candidates, not answers. */
  readonly hints?: readonly SearchValue[];
  /** A version that says "deleted"; its resource is the last one's shell. */
  readonly deleted?: boolean;
}

export interface SearchValue {
  readonly column: string;
  readonly value: string;
}

export interface StoredResource {
  readonly patientId: string;
  readonly compartment: Compartment;
  readonly id: string;
  readonly version: number;
  readonly writtenMs: number;
  readonly timeMs: number;
  readonly deleted: boolean;
  readonly resource: ResourceJson;
}

export interface ResourceVersion {
  readonly id: string;
  readonly version: number;
  readonly writtenMs: number;
}

export interface ResourceSearch {
  readonly resourceType: string;
  readonly fromMs?: number;
  /** Not included. */
  readonly toMs?: number;
  /** All must match. */
  readonly tokens?: readonly SearchValue[];
  readonly newestFirst?: boolean;
  readonly limit: number;
  readonly offset?: number;
}

export interface Resources {
  /** @throws Problem "version-conflict" unless `expectedVersion` is the newest. */
  put(write: ResourceWrite): Promise<ResourceVersion>;
  /** All or none, in one transaction, in the given order of answers. */
  putMany(writes: readonly ResourceWrite[]): Promise<ResourceVersion[]>;
  /** The newest version (also one that says deleted), or the named one. */
  get(
    permit: Permit,
    of: { readonly resourceType: string; readonly id: string; readonly version?: number },
  ): Promise<StoredResource | undefined>;
  /** Newest first. */
  history(
    permit: Permit,
    of: { readonly resourceType: string; readonly id: string },
  ): Promise<StoredResource[]>;
  /** Newest versions of the permit's patient, in the compartments it covers, not the deleted. */
  search(permit: Permit, query: ResourceSearch): Promise<StoredResource[]>;
  count(permit: Permit, query: Omit<ResourceSearch, "limit" | "offset">): Promise<number>;
  /** Patient ids that may match (truncated tokens collide); open each under its own permit.
   * @param anyOf tokens or hints of which all must match. */
  candidates(query: {
    readonly resourceType: string;
    readonly tokens?: readonly SearchValue[];
    readonly hints?: readonly SearchValue[];
    readonly limit: number;
  }): Promise<{ readonly patientId: string; readonly id: string }[]>;
}
