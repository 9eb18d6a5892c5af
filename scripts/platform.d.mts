/** Types of platform.mjs, for the tests that are written in TypeScript. */
export const ROOT: string;
export const NODE_MAJOR: number;
export function unsupported(platform?: string, arch?: string, isMusl?: boolean): string | undefined;
export function nodePackage(): string | undefined;
export function node26(): string | undefined;
export function expectedFolders(lock: { packages: object }): string[];
