/**
 * Judges a checkpoint by a policy: signed by the log, cosigned freshly by a quorum of witnesses, none of them the
 * log's operator.
 */
import { toHex } from "../bytes.ts";
import { type ParsedCheckpoint, parseCheckpoint } from "../checkpoint.ts";
import { type NoteKey, parseKey, parseNote, SIGNATURE_TYPES } from "../note.ts";
import { verifyLine } from "./signature.ts";

export interface WitnessPolicy {
  /** Who runs it; one witness an operator. */
  readonly operator: string;
  /** Verifier keys (types 4 and 6). More than one is one witness still. */
  readonly keys: readonly string[];
}

export interface CheckpointPolicy {
  readonly origin: string;
  /** Who runs the log: never a witness of it. */
  readonly operator: string;
  /** Verifier keys of the log (types 1 and 6). A valid line of one suffices; an invalid one of any refuses. */
  readonly logKeys: readonly string[];
  readonly witnesses: readonly WitnessPolicy[];
  /** How many witnesses must have cosigned. 0 only where there are none; else more than half of them. */
  readonly quorum: number;
  /** A cosignature older than this does not count. Seconds. */
  readonly freshWithinS: number;
  /** How far a witness' clock may be ahead of ours. Seconds. */
  readonly aheadS: number;
}

export type CheckpointReason =
  | "policy" // the policy itself is not sound
  | "malformed"
  | "other-log"
  | "not-signed-by-log"
  | "invalid-signature" // a line that a known key should have signed
  | "too-few-witnesses"
  | "not-fresh";

export interface CheckpointVerdict {
  readonly holds: boolean;
  readonly reason?: CheckpointReason;
  /** What was signed, as far as it could be read. Only to be believed when `holds`. */
  readonly checkpoint?: ParsedCheckpoint;
  /** Operators whose cosignature holds, with its time in POSIX seconds; the newest of its lines. */
  readonly cosigned: ReadonlyMap<string, number>;
  /** Verifier keys whose lines this machine cannot check. */
  readonly unchecked: readonly string[];
  /** How many lying witnesses this quorum bears without letting two histories pass: 2k - n - 1. */
  readonly liarsBorne: number;
}

/** A policy with its keys read; undefined when it is not sound: unreadable, doubled or misplaced keys, the operator
 * among the witnesses, or a quorum that two disjoint groups of honest witnesses could both reach. */
function readPolicy(policy: CheckpointPolicy) {
  const logKeys = policy.logKeys.map((key) => parseKey(key));
  const witnesses = policy.witnesses.map(({ operator, keys }) => ({
    operator,
    keys: keys.map((key) => parseKey(key)),
  }));
  const witnessKeys = witnesses.flatMap(({ keys }) => keys);
  const all = [...logKeys, ...witnessKeys];
  const operators = [policy.operator, ...policy.witnesses.map(({ operator }) => operator)];
  const n = witnesses.length;
  const { ed25519, cosignatureEd25519, cosignatureMlDsa44 } = SIGNATURE_TYPES;
  const isSound =
    logKeys.length > 0 &&
    logKeys.every((key) => key?.type === ed25519 || key?.type === cosignatureMlDsa44) &&
    witnesses.every(({ keys }) => keys.length > 0) &&
    witnessKeys.every((k) => k?.type === cosignatureEd25519 || k?.type === cosignatureMlDsa44) &&
    new Set(all.map((key) => key && toHex(key.publicKey))).size === all.length &&
    new Set(operators).size === operators.length &&
    Number.isInteger(policy.quorum) &&
    policy.quorum <= n &&
    (n === 0 ? policy.quorum === 0 : policy.quorum * 2 > n) &&
    policy.freshWithinS >= 0 &&
    policy.aheadS >= 0;
  if (!isSound) return undefined;
  return { logKeys: logKeys as NoteKey[], witnesses: witnesses as Readers };
}
type Readers = { operator: string; keys: NoteKey[] }[];

/** Judges; throws for nothing that somebody could have written. @param nowS POSIX seconds. */
export async function verifyCheckpoint(
  given: string,
  policy: CheckpointPolicy,
  nowS: number,
): Promise<CheckpointVerdict> {
  const cosigned = new Map<string, number>();
  const unchecked: string[] = [];
  const liarsBorne = Math.max(0, 2 * policy.quorum - policy.witnesses.length - 1);
  const read = readPolicy(policy);
  const note = parseNote(given);
  const checkpoint = note && parseCheckpoint(note.text);
  const verdict = (reason?: CheckpointReason): CheckpointVerdict => ({
    holds: reason === undefined,
    ...(reason !== undefined && { reason }),
    ...(checkpoint !== undefined && { checkpoint }),
    cosigned,
    unchecked,
    liarsBorne,
  });
  if (read === undefined) return verdict("policy");
  if (note === undefined || checkpoint === undefined) return verdict("malformed");
  if (checkpoint.origin !== policy.origin) return verdict("other-log");

  let isSignedByLog = false;
  for (const line of note.signatures) {
    const isOf = (key: NoteKey) => key.name === line.name && key.id === line.id;
    const logKey = read.logKeys.find(isOf);
    const witness = read.witnesses.find(({ keys }) => keys.some(isOf));
    const key = logKey ?? witness?.keys.find(isOf);
    if (key === undefined) continue; // signed-note: lines of unknown keys are ignored
    const result = await verifyLine(note.text, line, key);
    if (result.verdict === "invalid") return verdict("invalid-signature");
    if (result.verdict === "unsupported") unchecked.push(line.name);
    else if (logKey !== undefined) isSignedByLog = true;
    // Time 0 says nothing about when, so it is no witness' word (tlog-witness).
    else if (witness !== undefined && result.timeS !== undefined && result.timeS > 0) {
      const before = cosigned.get(witness.operator) ?? 0;
      cosigned.set(witness.operator, Math.max(before, result.timeS));
    }
  }
  if (!isSignedByLog) return verdict("not-signed-by-log");
  if (cosigned.size < policy.quorum) return verdict("too-few-witnesses");
  const fresh = [...cosigned.values()].filter(
    (timeS) => timeS >= nowS - policy.freshWithinS && timeS <= nowS + policy.aheadS,
  );
  return fresh.length < policy.quorum ? verdict("not-fresh") : verdict();
}
