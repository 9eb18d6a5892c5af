/** One question to the running platform over its operator socket: works only beside the data folder. */
import { existsSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { type OperatorAsk, operatorPaths } from "../access/operator.ts";
import { PROBLEMS, Problem, type ProblemCode } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";

const ANSWER_WITHIN_MS = 10_000;

/** @throws StartRefusal when no platform runs on that data folder; the Problem the platform answers. */
export async function askOperator<T>(dataDir: string, asked: OperatorAsk): Promise<T> {
  const { socket, pointer } = operatorPaths(dataDir);
  const path = existsSync(pointer) ? readFileSync(pointer, "utf8") : socket;
  const line = await exchange(path, `${JSON.stringify(asked)}\n`).catch((cause) => {
    throw new StartRefusal(
      `no running platform answers beside the data folder ${dataDir} (VITALWARD_DATA): start it first, and run this as the user who owns it`,
      { cause },
    );
  });
  const answer = JSON.parse(line) as { ok?: T; problem?: string; detail?: string };
  if (answer.problem === undefined) return answer.ok as T;
  const code = Object.hasOwn(PROBLEMS, answer.problem) ? answer.problem : "internal-fault";
  throw new Problem(
    code as ProblemCode,
    answer.detail === undefined ? {} : { detail: answer.detail },
  );
}

function exchange(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const connection = createConnection(path, () => connection.write(question));
    connection.setEncoding("utf8").setTimeout(ANSWER_WITHIN_MS, () => {
      connection.destroy(new Error("no answer in time"));
    });
    connection.on("data", (part: string) => {
      answer += part;
    });
    connection.on("error", reject);
    connection.on("close", () => {
      if (answer.endsWith("\n")) resolve(answer);
      else reject(new Error("the connection ended without an answer"));
    });
  });
}
