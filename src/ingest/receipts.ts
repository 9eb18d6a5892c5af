/**
 * Receipts: the platform's authenticated word that envelopes are durably kept. Made only from what is
 * committed; those of a device are gathered for a moment, so that a burst costs one.
 */
import { counter, diagnostics } from "../diagnostics.ts";
import type { Receipt } from "../envelope/receipt.ts";
import { limits } from "../limits.ts";
import type { LiveSession } from "./live-session.ts";

/** Carries bytes to a device over whatever road is open; what does not arrive is said again later. */
export type SendDownlink = (deviceId: string, bytes: Uint8Array) => void;

const sent = counter("vitalward_receipts_total", "receipts sealed for devices");

export function receiptOf(session: LiveSession, storeEpoch: number): Receipt | undefined {
  if (session.firstNumber === undefined) return undefined;
  const { contiguous } = session;
  return {
    sessionId: session.sessionId,
    contiguous,
    bitmap: session.ranges.bitmapAfter(contiguous),
    refused: [...session.refused].sort((a, b) => a.sequence - b.sequence),
    storeEpoch,
  };
}

export class ReceiptDesk {
  readonly #senders: SendDownlink[] = [];
  readonly #due = new Set<LiveSession>();
  readonly #storeEpoch: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(o: { storeEpoch: () => number }) {
    this.#storeEpoch = o.storeEpoch;
  }

  onDownlink(send: SendDownlink): void {
    this.#senders.push(send);
  }

  /** A receipt for this session will be sent within `limits.receiptDelayMs`. */
  owe(session: LiveSession): void {
    this.#due.add(session);
    this.#timer ??= setTimeout(() => this.flush(), limits.receiptDelayMs);
  }

  /** The receipt now, sealed, to travel with an answer; nothing more is owed. */
  take(session: LiveSession): Uint8Array | undefined {
    this.#due.delete(session);
    const receipt = receiptOf(session, this.#storeEpoch());
    if (receipt === undefined) return undefined;
    sent.inc();
    return session.keys.sealDownlink({ receipt });
  }

  /** The receipt of an older session of the same device, sealed under a newer one. */
  about(older: LiveSession, under: LiveSession): Uint8Array | undefined {
    const receipt = receiptOf(older, this.#storeEpoch());
    return receipt && under.keys.sealDownlink({ receipt });
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    for (const session of due) {
      const sealed = this.take(session);
      if (sealed === undefined) continue;
      for (const send of this.#senders) {
        try {
          send(session.deviceId, sealed);
        } catch (error) {
          diagnostics.warn({ err: error }, "a receipt could not be sent");
        }
      }
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due.clear();
  }
}
