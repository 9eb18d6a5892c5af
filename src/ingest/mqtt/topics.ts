/** Topic names and filters: which are well-formed, and which filter matches which name (MQTT 5 §4.7). */
import { limits } from "../../limits.ts";

/** A name one may publish to: 1 to 65,535 bytes, no wildcard [MQTT-3.3.2-2], [MQTT-4.7.3-1]. */
export function isTopicName(topic: string): boolean {
  return (
    topic.length > 0 && !/[+#\0]/.test(topic) && levelsOf(topic).length <= limits.mqttTopicLevelsMax
  );
}

/** A filter: `#` alone in the last level, `+` alone in its level [MQTT-4.7.1-1], [MQTT-4.7.1-2]. */
export function isTopicFilter(filter: string): boolean {
  if (filter.length === 0 || filter.includes("\0")) return false;
  const levels = levelsOf(filter);
  if (levels.length > limits.mqttTopicLevelsMax) return false;
  return levels.every((level, index) => {
    if (level === "#") return index === levels.length - 1;
    return level === "+" || !/[+#]/.test(level);
  });
}

export function levelsOf(topic: string): string[] {
  return topic.split("/");
}

/** Whether a filter matches a name, both split into levels; `$`-topics match no leading wildcard
 * [MQTT-4.7.2-1]; `a/#` matches `a` too. */
export function matches(filter: readonly string[], topic: readonly string[]): boolean {
  if (topic[0]?.startsWith("$") && (filter[0] === "+" || filter[0] === "#")) return false;
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === "#") return true;
    if (i >= topic.length) return false;
    if (filter[i] !== "+" && filter[i] !== topic[i]) return false;
  }
  return filter.length === topic.length;
}

/** A shared subscription `$share/{name}/{filter}` taken apart (MQTT 5 §4.8.2). */
export interface SharedFilter {
  readonly share: string | undefined;
  readonly filter: string;
}

/** @returns undefined if it begins with `$share/` and is not well-formed [MQTT-4.8.2-1], [MQTT-4.8.2-2]. */
export function parseShared(filter: string): SharedFilter | undefined {
  if (!filter.startsWith("$share/")) return { share: undefined, filter };
  const slash = filter.indexOf("/", 7);
  const share = filter.slice(7, slash);
  const rest = filter.slice(slash + 1);
  if (slash < 0 || share.length === 0 || /[+#]/.test(share) || rest.length === 0) return undefined;
  return { share, filter: rest };
}
