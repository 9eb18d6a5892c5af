/** Messages from one client: topic aliases, the receive maximum as back-pressure, answers after the commit. */
import { Problem, type ProblemCode } from "../../problems.ts";
import { type AckSlot, OrderedAcknowledgements } from "./acknowledgements.ts";
import type { Client } from "./client.ts";
import { encodeAcknowledgement } from "./encode.ts";
import { type Acknowledgement, type Publish, TYPE } from "./packets.ts";
import { protocolError } from "./reader.ts";
import { REASON, reasonOf } from "./reasons.ts";
import type { Role } from "./role.ts";
import { isTopicName } from "./topics.ts";

/** Lives as long as the connection; open QoS 2 exchanges are in the session. */
export class Receiving {
  readonly #client: Client;
  readonly #role: Role;
  readonly #acks: OrderedAcknowledgements;
  /** The name checked last: a device has one. */
  #topic: string | undefined;
  readonly #aliases = new Map<number, string>();
  /** QoS 2 ids of this connection that count against the receive maximum until PUBCOMP. */
  readonly #open2 = new Set<number>();
  #open1 = 0;
  /** Messages of any QoS that the role has not yet decided on. */
  #undecided = 0;

  constructor(client: Client, role: Role) {
    this.#client = client;
    this.#role = role;
    this.#acks = new OrderedAcknowledgements((packet) => client.channel.write(packet));
  }

  /** PUBLISH: checked, counted, handed to the role, answered once the role has kept it. */
  publish(publish: Publish): void {
    if (this.#client.version === 5) this.#resolveAlias(publish);
    if (publish.topic !== this.#topic) {
      if (!isTopicName(publish.topic)) throw new Problem("mqtt-topic-invalid"); // [MQTT-3.3.2-2]
      this.#topic = publish.topic;
    }
    const role = this.#role;
    const reply = publish.properties.responseTopic;
    if (reply !== undefined && !isTopicName(reply)) {
      throw protocolError("the response topic is no topic name"); // [MQTT-3.3.2-14]
    }
    if (publish.retain && !role.settings.retain) throw new Problem("mqtt-retain-refused");
    const refusal = role.mayPublish(this.#client, publish);
    if (refusal) this.#decline(publish, refusal);
    else if (publish.qos === 0) this.#keepUnanswered(publish);
    else if (publish.qos === 1) this.#keepOne(publish);
    else if (!this.#repeats(publish)) this.#keepTwo(publish);
  }

  /** QoS 1: answered once the role has decided. */
  #keepOne(publish: Publish): void {
    this.#countIn(publish);
    const slot = this.#acks.reserve();
    this.#role.accept(this.#client, publish, (problem, fault) =>
      this.#answerOne(publish, slot, problem, fault),
    );
  }

  /** QoS 2: the verdict is remembered until PUBREL. */
  #keepTwo(publish: Publish): void {
    this.#countIn(publish);
    const kept = new Promise<ProblemCode | undefined>((resolve, reject) => {
      this.#role.accept(this.#client, publish, (problem, fault) =>
        fault === undefined ? resolve(problem) : reject(fault),
      );
    });
    this.#answer(publish, kept);
    this.#client.session?.received.set(publish.packetId, kept);
  }

  /** A QoS 2 id that is still open is the same message again: answered, not kept twice [MQTT-4.3.3-10]. */
  #repeats(publish: Publish): boolean {
    const before = this.#client.session?.received.get(publish.packetId);
    if (!before) return false;
    this.#countIn(publish);
    this.#answer(publish, before);
    return true;
  }

  /** Counts against the receive maximum; at the device's own pace when it cannot be told of one. */
  #countIn(publish: Publish): void {
    if (publish.qos === 1) this.#open1++;
    else if (publish.qos === 2) this.#open2.add(publish.packetId);
    const maximum = this.#role.settings.receiveMaximum;
    if (this.#client.version === 5 && this.#open1 + this.#open2.size > maximum) {
      throw new Problem("mqtt-receive-maximum-exceeded"); // MQTT 5 §3.3.4
    }
    this.#undecided++;
    if (this.#undecided >= this.#windowMax) this.#client.channel.pause("window");
  }

  /** Undecided messages at which TCP makes the client wait: QoS 0, and all of 3.1.1, knows no other
   * way. One more for MQTT 5, so that who oversteps the announced maximum is seen to do so. */
  get #windowMax(): number {
    return this.#role.settings.receiveMaximum + (this.#client.version === 5 ? 1 : 0);
  }

  #decided(): void {
    this.#undecided--;
    if (this.#undecided < this.#windowMax) this.#client.channel.resume("window");
  }

  #keepUnanswered(publish: Publish): void {
    this.#countIn(publish);
    this.#role.accept(this.#client, publish, (_problem, fault) => {
      if (fault === undefined) this.#decided();
      else this.#client.fail(fault);
    });
  }

  #answerOne(
    { packetId }: Publish,
    slot: AckSlot,
    problem: ProblemCode | undefined,
    fault: unknown,
  ): void {
    if (fault !== undefined) {
      this.#client.fail(fault);
      return;
    }
    if (problem !== undefined && this.#closesFor(problem)) return;
    this.#acknowledge(slot, TYPE.puback, packetId, problem);
    this.#open1--;
    this.#decided();
  }

  /** Answers QoS 2 in order, once the message is durable. */
  #answer({ packetId }: Publish, kept: Promise<ProblemCode | undefined>): void {
    const slot = this.#acks.reserve();
    kept.then(
      (problem) => {
        if (problem !== undefined) {
          this.#client.session?.received.delete(packetId);
          this.#open2.delete(packetId);
          if (this.#closesFor(problem)) return;
        }
        this.#acknowledge(slot, TYPE.pubrec, packetId, problem);
        this.#decided();
      },
      (error) => {
        this.#client.session?.received.delete(packetId);
        this.#client.fail(error);
      },
    );
  }

  /** 3.1.1 knows no negative PUBACK: silence and a close make the client send it again. */
  #closesFor(problem: ProblemCode): boolean {
    if (this.#client.version === 5) return false;
    this.#client.end(problem);
    return true;
  }

  #acknowledge(
    slot: AckSlot,
    type: typeof TYPE.puback | typeof TYPE.pubrec,
    packetId: number,
    problem: ProblemCode | undefined,
  ): void {
    const reason = problem === undefined ? 0 : reasonOf(problem);
    this.#acks.fill(slot, encodeAcknowledgement(type, this.#client.version, packetId, reason));
  }

  /** Not theirs to publish: a reason code where one fits, else the end (MQTT 5 §3.4.2.1; 3.1.1 §3.3.5). */
  #decline(publish: Publish, problem: ProblemCode): void {
    if (this.#client.version === 4 || publish.qos === 0) {
      this.#client.end(problem);
      return;
    }
    this.#role.refused(problem, this.#client.identity?.deviceId);
    const type = publish.qos === 1 ? TYPE.puback : TYPE.pubrec;
    const packet = encodeAcknowledgement(type, 5, publish.packetId, reasonOf(problem));
    this.#acks.fill(this.#acks.reserve(), packet);
  }

  #resolveAlias(publish: Publish): void {
    const alias = publish.properties.topicAlias;
    if (alias === undefined) {
      if (publish.topic === "") throw protocolError("neither topic nor topic alias");
      return;
    }
    if (alias === 0 || alias > this.#role.settings.topicAliasMaximum) {
      throw new Problem("mqtt-topic-alias-invalid"); // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
    }
    if (publish.topic !== "") {
      this.#aliases.set(alias, publish.topic);
      return;
    }
    const topic = this.#aliases.get(alias);
    if (topic === undefined) throw protocolError("a topic alias that was not set");
    publish.topic = topic;
  }

  /** PUBREL: the id is free again [MQTT-4.3.3-11]. */
  release(packet: Acknowledgement): void {
    const known = this.#client.session?.received.delete(packet.packetId) === true;
    this.#open2.delete(packet.packetId);
    const reason = known ? REASON.success : REASON.packetIdNotFound;
    this.#client.channel.write(
      encodeAcknowledgement(TYPE.pubcomp, this.#client.version, packet.packetId, reason),
    );
  }
}
