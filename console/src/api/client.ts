/** The one door from this page to the platform: same-origin, cookie, problem details on refusal. */

/** A refusal of the platform (RFC 9457), or `code: "unreachable"` when no answer came. */
export class Refusal extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, status: number, title: string) {
    super(title);
    this.name = "Refusal";
    this.code = code;
    this.status = status;
  }
}

/** Waits at most this long for an answer. */
const TIMEOUT_MS = 20_000;

/** @throws Refusal. */
export async function ask<T>(
  path: string,
  o: { method?: "GET" | "POST" | "PUT" | "DELETE"; body?: unknown; signal?: AbortSignal } = {},
): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      method: o.method ?? "GET",
      credentials: "same-origin",
      cache: "no-store",
      headers: o.body === undefined ? {} : { "content-type": "application/json" },
      ...(o.body === undefined ? {} : { body: JSON.stringify(o.body) }),
      signal: o.signal === undefined ? timeout : AbortSignal.any([timeout, o.signal]),
    });
  } catch (cause) {
    if (o.signal?.aborted) throw cause;
    throw new Refusal("unreachable", 0, "no answer");
  }
  if (response.ok) {
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
  throw await refusalOf(response);
}

async function refusalOf(response: Response): Promise<Refusal> {
  const type = response.headers.get("content-type") ?? "";
  if (!type.includes("problem+json")) {
    return new Refusal("unreachable", response.status, response.statusText);
  }
  const problem = (await response.json()) as { type?: string; title?: string };
  const code = (problem.type ?? "").split("/").at(-1) ?? "internal-fault";
  return new Refusal(code, response.status, problem.title ?? response.statusText);
}

/** Whether asking again can help: the platform was away, not unwilling. */
export function isPassing(error: unknown): boolean {
  return error instanceof Refusal && (error.status === 0 || error.status >= 500);
}
