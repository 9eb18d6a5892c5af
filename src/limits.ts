/** Every bound. A loop, queue, body, list or wait without one of these is a bug. */
export const limits = {
  /** Bytes of one envelope on the wire, COSE included. */
  envelopeBytesMax: 65_536,
  /** Point samples in one batch, all metrics together. */
  batchSamplesMax: 4_096,
  /** Waveform values in one batch, all runs together. */
  batchWaveformValuesMax: 16_384,
  /** Envelopes of one ratchet epoch. */
  epochEnvelopesMax: 256,
  /** Epochs ahead of the newest seen in which a kid is recognised. */
  epochsAheadMax: 64,
  /** How long a device may keep unsent data, and the platform the keys for them. */
  spoolHorizonMs: 30 * 24 * 3_600_000,
  /** A device signs a block at least this often while it sends. */
  blockIntervalMs: 60_000,
  /** Batches under one signed block. */
  blockBatchesMax: 65_536,
  /** Longest life of a permit. */
  permitLifeMs: 60_000,
  /** A sign-in link works once, for this long. */
  signInLinkLifeMs: 15 * 60_000,
} as const;

if (limits.epochEnvelopesMax * limits.epochsAheadMax < 4_096) {
  throw new Error("limits: the accepted window of envelopes is smaller than a receipt's bitmap");
}
