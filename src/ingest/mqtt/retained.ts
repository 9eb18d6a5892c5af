/** Retained messages, one for each topic, bounded in number and bytes (MQTT 5 §3.3.1.3). */
import { limits } from "../../limits.ts";
import type { OutgoingMessage } from "./outbox.ts";
import { levelsOf, matches } from "./topics.ts";

interface Kept {
  readonly levels: readonly string[];
  readonly message: OutgoingMessage;
}

export class Retained {
  readonly #byTopic = new Map<string, Kept>();
  readonly #nowMs: () => number;
  #bytes = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Replaces the topic's message; an empty one removes it [MQTT-3.3.1-6], [MQTT-3.3.1-7].
   * @returns false if there is no room; what was there is then gone all the same. */
  set(message: OutgoingMessage): boolean {
    this.#drop(message.topic);
    const bytes = message.payload.length;
    if (bytes === 0) return true;
    const { conformanceRetainedMax: most, conformanceRetainedBytesMax: mostBytes } = limits;
    if (this.#byTopic.size >= most || this.#bytes + bytes > mostBytes) return false;
    this.#byTopic.set(message.topic, { levels: levelsOf(message.topic), message });
    this.#bytes += bytes;
    return true;
  }

  #drop(topic: string): void {
    const kept = this.#byTopic.get(topic);
    if (!kept) return;
    this.#byTopic.delete(topic);
    this.#bytes -= kept.message.payload.length;
  }

  *matching(filter: readonly string[]): Generator<OutgoingMessage> {
    const nowMs = this.#nowMs();
    for (const { levels, message } of this.#byTopic.values()) {
      if (message.expiresAtMs !== undefined && message.expiresAtMs <= nowMs) {
        this.#drop(message.topic);
      } else if (matches(filter, levels)) yield message;
    }
  }
}
