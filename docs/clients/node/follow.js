// Follows what is sold, and goes on where it stopped after a restart or a rebalance: node follow.js FOLDER.
//
// What is made of a partition's facts, here sums, is kept in one file together with the place to go on from.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Kafka, logLevel } = require("kafkajs");

const servers = process.env.BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092";
const prefix = process.env.BOXOFFICE_TOPIC_PREFIX ?? "";
const results = `${prefix}purchase-results`;
const sign = { purchase_confirmed: 1, purchase_cancelled: -1 };
const beginning = "-2";

/** A partition's events, and the offset of the record that comes next. */
class Partition {
  constructor(folder, number) {
    this.file = path.join(folder, `${number}.json`);
    const kept = fs.existsSync(this.file) ? JSON.parse(fs.readFileSync(this.file, "utf8")) : {};
    this.next = kept.next ?? beginning;
    this.events = kept.events ?? {};
  }

  /** Takes exactly seq + 1 of an event, and ignores the rest. */
  take(fact) {
    const event = this.events[fact.event_id] ?? { seq: 0, sold: 0 };
    if (fact.seq > event.seq + 1) {
      console.error(`${fact.event_id}: ${fact.seq} after ${event.seq}. Begun in the middle?`);
    }
    if (fact.seq !== event.seq + 1) return;
    event.seq += 1;
    // What was held and is given back was not sold.
    if (!fact.held) event.sold += (sign[fact.type] ?? 0) * (fact.tickets ?? []).length;
    this.events[fact.event_id] = event;
    console.log(fact.event_id, event.seq, fact.type, event.sold);
  }

  /** Replaces the file at once: whenever we die, what is made and the place fit together. */
  keep() {
    const own = `${this.file}.${process.pid}`;
    fs.writeFileSync(own, JSON.stringify({ next: this.next, events: this.events }));
    fs.renameSync(own, this.file);
  }
}

async function main() {
  const folder = process.argv[2];
  fs.mkdirSync(folder, { recursive: true });
  const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.ERROR });
  // Who dies is replaced after so long.
  const consumer = kafka.consumer({ groupId: `${prefix}follow-node`, sessionTimeout: 10_000, maxWaitTimeInMs: 500 });
  const owned = new Map();

  await consumer.connect();
  await consumer.subscribe({ topic: results, fromBeginning: true });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    for (const number of payload.memberAssignment[results] ?? []) {
      const partition = new Partition(folder, number);
      owned.set(number, partition);
      consumer.seek({ topic: results, partition: number, offset: partition.next });
    }
  });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, isStale, resolveOffset }) => {
      const partition = owned.get(batch.partition);
      for (const { offset, value } of batch.messages) {
        // It has been moved to another place meanwhile.
        if (isStale()) return;
        partition.take(JSON.parse(value.toString()));
        partition.next = String(BigInt(offset) + 1n);
        resolveOffset(offset);
      }
      partition.keep();
    },
  });
}

main();
