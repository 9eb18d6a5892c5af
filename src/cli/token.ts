/** `vitalward token`: a short-lived bearer token or a sign-in link, for who sits beside the data folder. */
import { Command } from "commander";
import { loadConfig } from "../config.ts";
import { askOperator } from "./operator-client.ts";

interface Options {
  as?: string;
  link?: boolean;
  json?: boolean;
}

export function tokenCommand(): Command {
  return new Command("token")
    .description("print a bearer token (1 hour) or a sign-in link (15 minutes, once) of a person")
    .option("--as <person>", "id, whole name, or role: nurse, doctor, administrator")
    .option("--link", "a sign-in link for the console instead of a token")
    .option("--json", "as one JSON object")
    .addHelpText(
      "after",
      `
It asks the platform that runs on VITALWARD_DATA, over a socket in that folder that only its owner
can open. Without --as it lists whom there is.`,
    )
    .action(token);
}

async function token(o: Options): Promise<void> {
  const { dataDir } = loadConfig(process.env);
  if (o.as === undefined) {
    const people = await askOperator<{ id: string; name: string; role: string }[]>(dataDir, {
      ask: "people",
    });
    console.log(
      o.json === true
        ? JSON.stringify(people)
        : people.map(({ id, name, role }) => `${id}  ${role.padEnd(13)}  ${name}`).join("\n"),
    );
    return;
  }
  const answer = await askOperator<{ token?: string; url?: string; expiresMs: number }>(dataDir, {
    ask: o.link === true ? "link" : "token",
    as: o.as,
  });
  console.log(o.json === true ? JSON.stringify(answer) : (answer.url ?? answer.token));
}
