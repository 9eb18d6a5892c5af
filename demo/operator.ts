/** Asks the running platform over the operator socket of its data folder: one JSON line each way. */
import { existsSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";

const ANSWER_WITHIN_MS = 20_000;

/** @throws Error when nobody answers, or with the platform's own refusal. */
export async function ask<T>(dataDir: string, question: Record<string, unknown>): Promise<T> {
  const pointer = join(dataDir, "operator.path");
  const path = existsSync(pointer) ? readFileSync(pointer, "utf8") : join(dataDir, "operator.sock");
  const answer = JSON.parse(await exchange(path, `${JSON.stringify(question)}\n`)) as {
    ok?: T;
    problem?: string;
    detail?: string;
  };
  if (answer.problem !== undefined) {
    throw new Error(`the platform refused ${question.ask}: ${answer.detail ?? answer.problem}`);
  }
  return answer.ok as T;
}

function exchange(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const connection = createConnection(path, () => connection.write(question));
    connection.setEncoding("utf8").setTimeout(ANSWER_WITHIN_MS, () => {
      connection.destroy(new Error("the platform did not answer in time"));
    });
    connection.on("data", (part: string) => {
      answer += part;
    });
    connection.on("error", reject);
    connection.on("close", () =>
      answer.endsWith("\n") ? resolve(answer) : reject(new Error("no answer")),
    );
  });
}
