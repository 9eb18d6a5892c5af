import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { LOG_VECTORS, type LogVectors, SIGNED_S } from "../vectors/log-vectors.ts";
import { openBrowser } from "./browser.ts";

/** What a page would do with the files of the log's worked example. */
const PAGE = `
import { verifyCheckpoint } from "/src/transparency/verify/checkpoint.ts";
import { verifyCompleteness } from "/src/transparency/verify/completeness.ts";
import { verifyProofFile } from "/src/transparency/verify/proof-file.ts";
import { decodeIndexProof } from "/src/transparency/index-proof.ts";
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const proofOf = ({ proof }) => decodeIndexProof(bytes(proof));
window.judge = async (file, nowS) => {
  const policy = {
    origin: file.log + "/" + file.shard,
    operator: "hospital",
    logKeys: [file.logKey.vkey, file.mlDsa44.vkey],
    witnesses: file.witnessKeys.map(({ vkey }) => ({ operator: vkey, keys: [vkey] })),
    quorum: 3,
    freshWithinS: 300,
    aheadS: 60,
  };
  const checkpoint = file.checkpoint.join("\\n");
  const completeness = await verifyCompleteness({
    key: bytes(file.subjectKey),
    log: file.log,
    openings: file.chain.map(({ n, payload }) => ({
      shard: file.shard,
      n,
      class: "event",
      payload: new TextEncoder().encode(payload),
      basis: { state: bytes(file.state) },
    })),
    shards: [
      {
        checkpoint,
        indexRootLeaf: bytes(file.entries[4]),
        path: file.lastPath.map(bytes),
        nextShard: proofOf(file.indexProofs.nextShard),
        last: proofOf(file.indexProofs.last),
        ahead: file.indexProofs.ahead.map(proofOf),
      },
    ],
    policyOf: () => policy,
    nowS,
  });
  const proof = await verifyProofFile(file.proofFile.join("\\n"), bytes(file.entries[1]), policy, nowS);
  const alone = { ...policy, witnesses: [], quorum: 0 };
  const postQuantum = await verifyCheckpoint(file.mlDsa44.note.join("\\n"), alone, nowS);
  return {
    completeness: { reason: completeness.reason, entries: completeness.entries.length },
    proof: proof.reason,
    postQuantum: postQuantum.reason,
    unchecked: postQuantum.unchecked,
  };
};
`;

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The verifier as one script, made by the console's bundler. */
async function bundled(): Promise<string> {
  const entry = `${ROOT}verifier-page.js`;
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: "error",
    plugins: [
      {
        name: "page",
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? PAGE : undefined),
      },
    ],
    build: { write: false, minify: false, rolldownOptions: { input: entry } },
  });
  const [one] = [result].flat();
  assert.ok(one && "output" in one);
  return one.output[0].code;
}

interface Judged {
  completeness: { reason?: string; entries: number };
  proof?: string;
  postQuantum?: string;
  unchecked: string[];
}

test("in a browser the verifier judges the log's worked example as it does in Node", async (t) => {
  const file = JSON.parse(readFileSync(LOG_VECTORS, "utf8")) as LogVectors;
  const script = await bundled();
  const browser = await openBrowser(t);
  const page = await browser.newPage();
  // Web Crypto wants a secure context: localhost is one, and nothing is asked of the network.
  await page.route("**/*", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>verifier</title>" }),
  );
  await page.goto("http://localhost/");
  await page.addScriptTag({ type: "module", content: script });
  await page.waitForFunction("window.judge !== undefined");
  const judge = (given: unknown, nowS: number) =>
    page.evaluate(`window.judge(${JSON.stringify(given)}, ${nowS})`) as Promise<Judged>;

  const right = await judge(file, SIGNED_S);
  assert.deepEqual(right.completeness, { reason: undefined, entries: 3 });
  assert.equal(right.proof, undefined);
  // A browser without ML-DSA-44 must say so and believe nothing.
  const hasMlDsa = right.unchecked.length === 0;
  assert.equal(right.postQuantum, hasMlDsa ? undefined : "not-signed-by-log");
  t.diagnostic(`this browser ${hasMlDsa ? "checks" : "cannot check"} ML-DSA-44`);

  const stale = await judge(file, SIGNED_S + 301);
  assert.equal(stale.completeness.reason, "checkpoint");
  const chain = file.chain.map((one) => ({
    ...one,
    payload: one.payload.replace("nurse", "nobody"),
  }));
  assert.equal((await judge({ ...file, chain }, SIGNED_S)).completeness.reason, "last-entry");
  const entries = file.entries.with(1, file.entries[0] ?? "");
  assert.equal((await judge({ ...file, entries }, SIGNED_S)).proof, "not-included");
});
