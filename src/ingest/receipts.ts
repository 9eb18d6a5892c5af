/**
 * Receipts: the platform's authenticated word that envelopes are durably kept. Made only from what is
 * committed; those of a device are gathered for a moment, so that a burst costs one.
 */
import { counter, diagnostics } from "../diagnostics.ts";
import { joinPayload } from "../envelope/payload.ts";
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
  /** The device's newer session: after a restart a device reads nothing sealed under the older one. */
  readonly #newer = new WeakMap<LiveSession, LiveSession>();
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

  /** The receipt now, sealed, to travel with an answer; nothing more is owed. Of an older session it
   * is sealed under the newer one too: which of them the device can read is not known here. */
  take(session: LiveSession): Uint8Array | undefined {
    this.#due.delete(session);
    const receipt = receiptOf(session, this.#storeEpoch());
    if (receipt === undefined) return undefined;
    sent.inc();
    const own = session.keys.sealDownlink({ receipt });
    const newer = this.#newer.get(session);
    return newer === undefined ? own : joinPayload([own, newer.keys.sealDownlink({ receipt })]);
  }

  /** The receipt of an older session of the same device, sealed under a newer one; later ones are, too. */
  about(older: LiveSession, under: LiveSession): Uint8Array | undefined {
    this.#newer.set(older, under);
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
