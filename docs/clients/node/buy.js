// Buys tickets and waits for the answer: node buy.js EVENT QUANTITY BUYER REQUEST_ID.
//
// Prints the fact. Ends with 0 if tickets were sold or are held, 3 if not, 4 if there is no answer yet: ask again, with the
// same id.
"use strict";

const { setTimeout: sleep } = require("node:timers/promises");
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const servers = process.env.BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092";
const prefix = process.env.BOXOFFICE_TOPIC_PREFIX ?? "";
const [requests, results] = [`${prefix}purchase-requests`, `${prefix}purchase-results`];
const got = ["purchase_confirmed", "purchase_held"];
const remembered = [...got, "hold_expired", "purchase_cancelled", "purchase_rejected"];
const refusals = ["purchase_rejected", "command_unreadable"];
const timeoutMs = 60_000;
const againMs = 5_000;
const pollMs = 20;

/** A purchase and what was read of it. Each time that it is sent makes a copy, known by the place where it lies. */
class Request {
  copies = [];
  refused = new Map();
  remembered = undefined;

  constructor(eventId, quantity, buyer, requestId) {
    this.command = { request_id: requestId, event_id: eventId, buyer, quantity };
  }

  /** Remembers what may be an answer: facts come in any order, and before one knows where the copy lies. */
  read(fact) {
    if (this.#isRememberedBy(fact)) this.remembered = fact;
    else if (refusals.includes(fact.type)) this.refused.set(`${fact.source.partition}:${fact.source.offset}`, fact);
  }

  /** What is remembered, whichever copy it was of; or a refusal that is not, once all copies are refused. */
  get answer() {
    if (this.remembered) return this.remembered;
    return this.copies.every((copy) => this.refused.has(copy)) ? this.refused.get(this.copies.at(-1)) : undefined;
  }

  /** Whether it says for good what became of this purchase. The id alone might be another's purchase. */
  #isRememberedBy(fact) {
    const { request_id: requestId, event_id: eventId, buyer, quantity } = this.command;
    return (
      remembered.includes(fact.type) &&
      (fact.purchase ?? fact.request_id) === requestId &&
      fact.event_id === eventId &&
      fact.buyer === buyer &&
      fact.seq !== 0 &&
      fact.reason !== "request_id_reused" &&
      // What another request has made of it may be about some of its tickets.
      (fact.request_id !== requestId || fact.quantity === quantity)
    );
  }
}

/** Reads all partitions from the ends that they have before anything is sent. kafkajs has no consumer without a group. */
async function readFromNow(kafka, read) {
  const groupId = `${prefix}buy-${process.pid}-${Date.now()}`;
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(results);
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: results });
  consumer.on(consumer.events.GROUP_JOIN, () => {
    for (const { partition, high } of ends) consumer.seek({ topic: results, partition, offset: high });
  });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => read(JSON.parse(message.value.toString())),
  });
  return async () => {
    await consumer.disconnect();
    await admin.deleteGroups([groupId]);
    await admin.disconnect();
  };
}

/** Sends the request, again if there is no answer for a while; undefined if there is none at all. */
async function buy(request) {
  const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.ERROR });
  const close = await readFromNow(kafka, (fact) => request.read(fact));
  const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const { event_id: key } = request.command;
  const end = Date.now() + timeoutMs;
  while (!request.answer && Date.now() < end) {
    // One message: of several in a batch, only the first one's offset would be told.
    const messages = [{ key, value: JSON.stringify(request.command) }];
    const [{ partition, baseOffset }] = await producer.send({ topic: requests, messages });
    request.copies.push(`${partition}:${baseOffset}`);
    const again = Date.now() + againMs;
    while (!request.answer && Date.now() < again) await sleep(pollMs);
  }
  await producer.disconnect();
  await close();
  return request.answer;
}

async function main() {
  const [eventId, quantity, buyer, requestId] = process.argv.slice(2);
  const fact = await buy(new Request(eventId, Number(quantity), buyer, requestId));
  if (fact) console.log(JSON.stringify(fact));
  else console.error("No answer yet: ask again with the same request id.");
  process.exitCode = fact ? (got.includes(fact.type) ? 0 : 3) : 4;
}

main();
