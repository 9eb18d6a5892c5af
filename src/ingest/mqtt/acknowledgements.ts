/** Acknowledgements leave in the order in which the messages came [MQTT-4.6.0-2], [MQTT-4.6.0-3]. */

/** A place in the queue, held until the message is durable. */
export interface AckSlot {
  packet: Buffer | undefined;
}

/** One connection's queue of acknowledgements; bounded by the receive maximum. */
export class OrderedAcknowledgements {
  #slots: AckSlot[] = [];
  #first = 0;
  readonly #write: (packet: Buffer) => void;

  constructor(write: (packet: Buffer) => void) {
    this.#write = write;
  }

  /** Takes the next place. */
  reserve(): AckSlot {
    const slot: AckSlot = { packet: undefined };
    this.#slots.push(slot);
    return slot;
  }

  /** Fills a place; everything up to the first unfilled place is written. */
  fill(slot: AckSlot, packet: Buffer): void {
    slot.packet = packet;
    for (;;) {
      const next = this.#slots[this.#first];
      if (next?.packet === undefined) break;
      this.#write(next.packet);
      this.#first++;
    }
    if (this.#first === this.#slots.length || this.#first > 512) {
      this.#slots.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
