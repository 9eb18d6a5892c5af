import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { askOperator } from "../../src/cli/operator-client.ts";
import { startTestPlatform } from "../support/platform.ts";

test("behind a reverse proxy its pages sign in with a cookie for TLS, links lead to it, and metrics take the token", async (t) => {
  const platform = await startTestPlatform(t, {
    env: { VITALWARD_PUBLIC_URL: "https://ward.example" },
  });
  const { dataDir } = platform;
  await askOperator(dataDir, { ask: "create-person", name: "Nora Example", role: "nurse" });
  const { url } = await askOperator<{ url: string }>(dataDir, { ask: "link", as: "nurse" });
  assert.match(url, /^https:\/\/ward\.example\/#\/sign-in\//);
  const secret = url.split("/").at(-1);
  /** As a proxy passes it on: its own connection, the browser's host and origin. */
  const signIn = (origin: string) =>
    new Promise<[number, string]>((resolve, reject) => {
      const headers = { host: "ward.example", origin, "content-type": "application/json" };
      const { http: port } = platform.ports;
      request({ host: "127.0.0.1", port, path: "/api/session", method: "POST", headers })
        .on("response", (response) => {
          const [cookie = ""] = response.resume().headers["set-cookie"] ?? [];
          resolve([response.statusCode ?? 0, cookie]);
        })
        .on("error", reject)
        .end(JSON.stringify({ secret }));
    });
  assert.equal((await signIn("https://evil.example"))[0], 403);
  const [status, cookie] = await signIn("https://ward.example");
  assert.equal(status, 200);
  assert.match(cookie, /^__Host-vitalward-session=.*Secure/);
  // Through the proxy the whole world comes from loopback: the counters take the token of the data folder.
  const file = join(dataDir, "metrics-token");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const metrics = (headers = {}) => fetch(`${platform.url}/metrics`, { headers });
  assert.equal((await metrics()).status, 401);
  const authorization = `Bearer ${readFileSync(file, "utf8").trim()}`;
  assert.match(await (await metrics({ authorization })).text(), /^vitalward_/m);
});
