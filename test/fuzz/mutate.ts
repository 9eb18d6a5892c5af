/** Seeded mutation of byte strings: the same seed gives the same cases. */

/** A small generator of pseudo-random numbers (mulberry32), for tests only. */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const edges = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];

/** One case from the seeds: flipped, cut, grown, doubled, spliced, or wholly random. */
export function mutate(seeds: readonly Uint8Array[], random: (below: number) => number): Buffer {
  let bytes: Buffer = Buffer.from(seeds[random(seeds.length)] as Uint8Array);
  if (random(20) === 0) bytes = Buffer.from(Array.from({ length: random(64) }, () => random(256)));
  for (let rounds = 1 + random(4); rounds > 0; rounds--) {
    bytes = mutateOnce(bytes, seeds, random);
    if (bytes.length > 4_096) return bytes.subarray(0, 4_096);
  }
  return bytes;
}

function mutateOnce(
  bytes: Buffer,
  seeds: readonly Uint8Array[],
  random: (below: number) => number,
): Buffer {
  const at = random(bytes.length + 1);
  switch (random(7)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = edges[random(edges.length)] as number;
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(at + 1, bytes.length))]);
    case 5:
      return Buffer.concat([bytes, bytes.subarray(0, at)]);
    default:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(seeds[random(seeds.length)] as Uint8Array).subarray(random(4)),
      ]);
  }
}
