/**
 * The operator's socket: `<data>/operator.sock`, mode 0600. Whoever may open the data folder may make
 * people, links, tokens and claims; the file's mode is the sign-in. One JSON line asks, one answers.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { toProblem } from "../http/respond.ts";
import { parse } from "../http/validate.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import type { Access, Person } from "./access.ts";
import { type Principal, STAFF_ROLES } from "./principal.ts";

const Who = z.string().min(1).max(200);
const Asked = z.discriminatedUnion("ask", [
  z.strictObject({ ask: z.literal("people") }),
  z.strictObject({ ask: z.literal("token"), as: Who }),
  z.strictObject({ ask: z.literal("link"), as: Who }),
  z.strictObject({ ask: z.literal("create-person"), name: Who, role: z.enum(STAFF_ROLES) }),
  z.strictObject({ ask: z.literal("care-team"), as: Who, patientId: z.uuid() }),
  z.strictObject({
    ask: z.literal("claim"),
    label: z.string().min(1).max(200),
    kind: z.string().min(1).max(64),
    note: z.string().max(200).optional(),
    patientId: z.uuid().optional(),
    assignedFromMs: z.int().optional(),
  }),
]);
export type OperatorAsk = z.input<typeof Asked>;

const OPERATOR: Principal = { kind: "service", id: "operator", role: "service" };
/** sockaddr_un holds 104 bytes on macOS, 108 on Linux. */
const SOCKET_PATH_MAX = 103;
const IDLE_MS = 10_000;

export interface OperatorDoor {
  close(): Promise<void>;
}

/** Where the socket is, for a data folder: beside the data, or, when that path is too long for a
 * socket, wherever `<data>/operator.path` says. */
export function operatorPaths(dataDir: string): { socket: string; pointer: string } {
  return { socket: join(dataDir, "operator.sock"), pointer: join(dataDir, "operator.path") };
}

export async function openOperatorDoor(o: {
  dataDir: string;
  access: Access;
  registry: Registry;
  /** The console's address, once it listens: sign-in links begin with it. */
  consoleUrl: () => string;
}): Promise<OperatorDoor> {
  const paths = operatorPaths(o.dataDir);
  const isLong = Buffer.byteLength(paths.socket) > SOCKET_PATH_MAX;
  const path = isLong
    ? join(mkdtempSync(join(tmpdir().length < 60 ? tmpdir() : "/tmp", "vw-")), "o.sock")
    : paths.socket;
  // One left by a crash: the data folder's lock says that no other platform runs here.
  rmSync(path, { force: true });
  rmSync(paths.pointer, { force: true });
  const server = createServer((socket) => serve(socket, o));
  await listenPrivately(server, path);
  if (isLong) writeFileSync(paths.pointer, path, { mode: 0o600 });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          rmSync(paths.pointer, { force: true });
          if (isLong) rmSync(dirname(path), { recursive: true, force: true });
          resolve();
        });
      }),
  };
}

/** The socket's file has mode 0600 from its first moment: `listen` binds before it returns. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const before = process.umask(0o177);
    server.listen(path, resolve);
    process.umask(before);
    chmodSync(path, 0o600);
  });
}

function serve(
  socket: Socket,
  o: { access: Access; registry: Registry; consoleUrl: () => string },
): void {
  let line = "";
  let isAnswering = false;
  socket.setEncoding("utf8").setTimeout(IDLE_MS, () => socket.destroy());
  // A caller that went away has lost its answer; there is nobody to tell.
  socket.on("error", () => socket.destroy());
  socket.on("data", (part: string) => {
    line += part;
    if (isAnswering || line.length > limits.operatorLineBytesMax) {
      socket.destroy();
      return;
    }
    if (!line.includes("\n")) return;
    isAnswering = true;
    void answer(line, o).then((text) => socket.end(`${text}\n`));
  });
}

async function answer(
  line: string,
  o: { access: Access; registry: Registry; consoleUrl: () => string },
): Promise<string> {
  try {
    return JSON.stringify({ ok: await act(parse(Asked, parseJson(line), "ask"), o) });
  } catch (error) {
    const problem = toProblem(error, "operator");
    return JSON.stringify({ problem: problem.code, detail: problem.detail });
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Problem("bad-request", { detail: "not JSON", cause });
  }
}

async function act(
  asked: z.output<typeof Asked>,
  o: { access: Access; registry: Registry; consoleUrl: () => string },
): Promise<unknown> {
  const { access, registry } = o;
  switch (asked.ask) {
    case "people":
      return access.people();
    case "token": {
      const person = await find(access, asked.as);
      await access.recordChange(OPERATOR, "create-token", { subjectId: person.id });
      return { person, ...(await access.createToken(person.id)) };
    }
    case "link": {
      const person = await find(access, asked.as);
      await access.recordChange(OPERATOR, "create-sign-in-link", { subjectId: person.id });
      const { secret, expiresMs } = await access.createSignInLink(person.id);
      return { person, url: signInUrl(o.consoleUrl(), secret), expiresMs };
    }
    case "create-person":
      await access.recordChange(OPERATOR, "create-person", { subjectId: "new" });
      return access.createPerson(asked);
    case "care-team": {
      const { id: subjectId } = await find(access, asked.as);
      const { patientId } = asked;
      await access.recordChange(OPERATOR, "join-care-team", { subjectId, patientId });
      await access.addToCareTeam(subjectId, patientId);
      return {};
    }
    case "claim": {
      const { patientId } = asked;
      await access.recordChange(OPERATOR, "claim-device", {
        subjectId: "new",
        ...(patientId === undefined ? {} : { patientId }),
      });
      return registry.createClaim(asked);
    }
  }
}

/** The secret is in the fragment, which browsers keep to themselves: no server, log or referrer sees it. */
export function signInUrl(consoleUrl: string, secret: string): string {
  return `${consoleUrl.replace(/\/$/, "")}/#/sign-in/${secret}`;
}

/** By id, by whole name, or by the first person of a role. @throws Problem "not-found" with who there is. */
async function find(access: Access, who: string): Promise<Person> {
  const people = (await access.people()).filter((person) => person.active);
  const wanted = who.toLowerCase();
  const person =
    people.find((one) => one.id === wanted || one.name.toLowerCase() === wanted) ??
    people.find((one) => one.role === wanted);
  if (person !== undefined) return person;
  throw new Problem("not-found", {
    detail:
      "no such person; name one by id, by whole name, or by role (nurse, doctor, administrator)",
  });
}
