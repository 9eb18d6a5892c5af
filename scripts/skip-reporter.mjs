// A reporter of node:test that writes one line for each skipped test, with its reason.
export default async function* skipReporter(source) {
  for await (const event of source) {
    if (
      (event.type === "test:pass" || event.type === "test:fail") &&
      event.data.skip !== undefined
    ) {
      const reason = typeof event.data.skip === "string" ? `: ${event.data.skip}` : "";
      yield `${event.data.name}${reason}\n`;
    }
  }
}
