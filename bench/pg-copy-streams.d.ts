declare module "pg-copy-streams" {
  import type { Writable } from "node:stream";
  import type { Submittable } from "pg";
  /** A query to hand to `client.query`: what is written to it goes to COPY … FROM STDIN. */
  export function from(text: string): Writable & Submittable;
}
