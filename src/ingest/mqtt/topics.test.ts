import assert from "node:assert/strict";
import { test } from "node:test";
import { isTopicFilter, isTopicName, levelsOf, matches, parseShared } from "./topics.ts";

test("a filter matches the names that MQTT 5 §4.7 says, and no others", () => {
  const cases: [filter: string, topic: string, expected: boolean][] = [
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["sport/tennis/+", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/uptime", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/uptime", true],
    ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
    ["a", "A", false],
    ["a/b", "a/b/", false],
  ];
  for (const [filter, topic, expected] of cases) {
    assert.equal(matches(levelsOf(filter), levelsOf(topic)), expected, `${filter} ~ ${topic}`);
  }
});

test("names and filters that are not well-formed are told apart", () => {
  for (const name of ["", "a/+", "a/#", "#", "a\0b", "a/".repeat(200)]) {
    assert.equal(isTopicName(name), false, name);
  }
  for (const name of ["/", "a//b", "a b", "$SYS/x", "é"]) assert.equal(isTopicName(name), true);
  for (const filter of ["", "a#", "a/#/b", "a+/b", "a/b+", "a\0", "+/".repeat(200)]) {
    assert.equal(isTopicFilter(filter), false, filter);
  }
  for (const filter of ["#", "+", "+/+", "a/+/b/#", "/"]) assert.equal(isTopicFilter(filter), true);
});

test("a shared subscription has a name without wildcards and a filter", () => {
  assert.deepEqual(parseShared("$share/ward/a/+"), { share: "ward", filter: "a/+" });
  assert.deepEqual(parseShared("plain"), { share: undefined, filter: "plain" });
  for (const filter of ["$share/", "$share/x", "$share/x/", "$share//a", "$share/x+/a"]) {
    assert.equal(parseShared(filter), undefined, filter);
  }
});
