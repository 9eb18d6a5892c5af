/** Typed listeners, called in order. One that throws is a bug: it rises to whoever emitted. */
export class Listeners<Events extends { [E in keyof Events]: unknown[] }> {
  readonly #byEvent: { [E in keyof Events]?: Set<(...args: Events[E]) => void> } = {};

  /** @returns a function that stops listening. */
  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    const listeners = this.#byEvent[event] ?? new Set();
    this.#byEvent[event] = listeners;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  emit<E extends keyof Events>(event: E, ...args: Events[E]): void {
    for (const listener of this.#byEvent[event] ?? []) listener(...args);
  }
}
