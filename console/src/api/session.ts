/** Who is signed in. The cookie is the platform's; the page never sees it. */
import { useQuery } from "@tanstack/react-query";
import { ask } from "./client.ts";

const ABOUT_AGAIN_MS = 5_000;

export interface Signed {
  person: { id: string; name: string; role: "nurse" | "doctor" | "administrator" };
}

export function useSession() {
  return useQuery({
    queryKey: ["session"],
    queryFn: ({ signal }) => ask<Signed>("/api/session", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** What the platform is, for everybody: asked until it is known. */
export function useAbout() {
  return useQuery({
    queryKey: ["about"],
    queryFn: ({ signal }) => ask<{ demonstration: boolean }>("/api/about", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: (query) => (query.state.data === undefined ? ABOUT_AGAIN_MS : false),
  });
}

/** Exchanges a link's secret for a session cookie; works once. @throws Refusal "sign-in-link-used" and the like. */
export function exchange(secret: string): Promise<unknown> {
  return ask("/api/session", { method: "POST", body: { secret } });
}

export function endSession(): Promise<unknown> {
  return ask("/api/session", { method: "DELETE" });
}
