/** What only an administrator may do: asked first, written down second, done third. */
import type { FastifyRequest } from "fastify";
import { Problem } from "../problems.ts";
import type { Access } from "./access.ts";
import type { Principal } from "./principal.ts";

/** @throws Problem "not-signed-in", "forbidden". */
export async function administrator(access: Access, request: FastifyRequest): Promise<Principal> {
  const principal = await access.authenticate(request);
  if (principal.kind !== "person" || principal.role !== "administrator") {
    throw new Problem("forbidden", { detail: "this takes the role administrator" });
  }
  return principal;
}
