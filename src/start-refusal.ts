/**
 * Why the program does not start, as one sentence for the person who started it: it names the
 * setting, file or folder and what to do. It is printed without a stack and ends with exit code 78.
 */
export class StartRefusal extends Error {
  override readonly name = "StartRefusal";
}

/** Exit code of a refused start (`EX_CONFIG` of BSD sysexits). */
export const EXIT_REFUSED = 78;
