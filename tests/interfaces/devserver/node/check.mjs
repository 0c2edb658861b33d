// The official Node client against a server: appends, reads, subscribes, consumes groups. Prints what it saw as JSON.

import { KurrentDBClient, START, END, NO_STREAM, ANY, jsonEvent, eventTypeFilter, WrongExpectedVersionError, StreamNotFoundError,
  persistentSubscriptionToAllSettingsFromDefaults, persistentSubscriptionToStreamSettingsFromDefaults, PARK } from "@kurrent/kurrentdb-client";

const client = KurrentDBClient.connectionString(process.argv[2]);
const run = process.argv[3];
const type = `Happened-${run}`;
const stream = `orders-${run}`;
const event = (n) => jsonEvent({ type, data: { n }, metadata: { $correlationId: `c-${n}` } });
const seen = {};

async function take(subscription, count) {
  const found = [];
  for await (const it of subscription) {
    found.push(it);
    if (found.length === count) break;
  }
  return found;
}

const named = async (call) => {
  try {
    await call();
    return "nothing";
  } catch (error) {
    return error.constructor.name;
  }
};

// append and read
const appended = await client.appendToStream(stream, [event(0), event(1)], { streamState: NO_STREAM });
seen.nextExpectedRevision = Number(appended.nextExpectedRevision);
seen.wrongVersion = await named(() => client.appendToStream(stream, event(9), { streamState: NO_STREAM }));
const events = [];
for await (const { event } of client.readStream(stream, { fromRevision: START })) events.push([event.type === type, event.data.n, event.metadata.$correlationId]);
seen.read = events;
seen.missing = await named(async () => { for await (const _ of client.readStream(`none-${run}`)); });
const all = [];
for await (const { event } of client.readAll({ fromPosition: START, maxCount: 1 })) all.push(event.streamId);
seen.allBeginsWithSystem = all[0].startsWith("$");

// subscribe to a stream and to $all by filter
const toStream = client.subscribeToStream(stream, { fromRevision: START });
const toAll = client.subscribeToAll({ fromPosition: START, filter: eventTypeFilter({ prefixes: [type] }) });
const history = take(toStream, 3);
const filtered = take(toAll, 3);
await client.appendToStream(stream, event(2), { streamState: ANY });
seen.subscribed = (await history).map((it) => it.event.data.n);
seen.filtered = (await filtered).map((it) => it.event.data.n);

// a group on $all: one acknowledged, one parked, which is replayed
const group = `workers-${run}`;
const filter = eventTypeFilter({ regex: `^${type}$` });
await client.createPersistentSubscriptionToAll(group, persistentSubscriptionToAllSettingsFromDefaults({ startFrom: START }), { filter });
const consumer = client.subscribeToPersistentSubscriptionToAll(group);
const delivered = [];
for await (const it of consumer) {
  delivered.push([it.event.data.n, it.link === undefined ? "direct" : "link"]);
  if (delivered.length === 2) await consumer.nack(PARK, "asked", it);
  else await consumer.ack(it);
  if (delivered.length === 3) {
    while ((await client.getPersistentSubscriptionToAllInfo(group)).stats.parkedMessageCount < 1);
    await client.replayParkedMessagesToAll(group);
  }
  if (delivered.length === 4) break;
}
await consumer.unsubscribe();
seen.delivered = delivered;

// a group on a stream, by the older form of the request
await client.createPersistentSubscriptionToStream(stream, group, persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: START }));
const onStream = client.subscribeToPersistentSubscriptionToStream(stream, group);
const first = [];
for await (const it of onStream) {
  first.push(it.event.data.n);
  await onStream.ack(it);
  if (first.length === 3) break;
}
await onStream.unsubscribe();
seen.onStream = first;
seen.info = (await client.getPersistentSubscriptionToStreamInfo(stream, group)).settings.consumerStrategyName;
seen.groups = (await client.listPersistentSubscriptionsToStream(stream)).map((it) => it.groupName === group);
await client.deletePersistentSubscriptionToStream(stream, group);
await client.deletePersistentSubscriptionToAll(group);
seen.deletedGroup = await named(() => client.deletePersistentSubscriptionToAll(group));

// metadata and deletion
await client.setStreamMetadata(stream, { maxCount: 1 });
const kept = [];
for await (const { event } of client.readStream(stream, { fromRevision: START })) kept.push(event.data.n);
seen.keptByMaxCount = kept;
await client.deleteStream(stream);
seen.deleted = await named(async () => { for await (const _ of client.readStream(stream)); });
await client.tombstoneStream(stream);
seen.tombstoned = await named(() => client.appendToStream(stream, event(3)));

await client.dispose();
console.log(JSON.stringify(seen));
process.exit(0);
