/**
 * What goes between admission and its opening thread, back to back in one buffer; key and nonce as long as
 * the suite says.
 * job: `alg(1) | aad length(1) | sealed at(2) | envelope length(4) | key | nonce | aad | envelope`;
 * answer: `0, or 1 + plaintext length(4) | SHA-256 of the envelope(32) | plaintext`. Big-endian.
 */
export const JOB_HEAD = 8;
export const ANSWER_HEAD = 4;
export const HASH_BYTES = 32;
