// node peer.cjs PORT HOST_ID GROUP NODE
// A Sparkplug host application that shares no code with ours: it says that it is online, listens, and writes one JSON
// line for each message it decodes. When a camera's alarm becomes active it asks for a rebirth and acknowledges the
// alarm; it leaves after the births that follow.
"use strict";
const mqtt = require("mqtt");
const sparkplug = require("sparkplug-payload").get("spBv1.0");
const wire = require("sparkplug-payload/lib/sparkplugPayloadProto").org.eclipse.tahu.protobuf.Payload;

const [port, hostId, group, node] = process.argv.slice(2);
const stateTopic = `spBv1.0/STATE/${hostId}`;
const timestamp = Date.now();
const state = (online) => JSON.stringify({ online, timestamp });
const births = new Map(); // alias -> {name, type}
let asked = false;

const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clean: true,
  will: { topic: stateTopic, payload: state(false), qos: 1, retain: true },
});

client.on("connect", () => {
  client.subscribe([`spBv1.0/${group}/#`, stateTopic], { qos: 1 }, () => {
    client.publish(stateTopic, state(true), { qos: 1, retain: true });
  });
});

client.on("message", (topic, body) => {
  const [, second, , , device] = topic.split("/");
  const verb = second === "STATE" ? "STATE" : topic.split("/")[2];
  if (verb === "STATE" || verb === "NCMD" || verb === "DCMD") return;
  const payload = sparkplug.decodePayload(body);
  const raw = wire.decode(body);
  const metrics = (payload.metrics || []).map((metric, place) => known(metric, raw.metrics[place], verb));
  say({ topic, verb, device, seq: plain(payload.seq), timestamp: plain(payload.timestamp), metrics });
  if (verb === "DDATA" && metrics.some((m) => m.name === "Alarm/Active" && m.value === true) && !asked) ask(device);
  if (asked && verb === "DBIRTH") {
    client.publish(stateTopic, state(false), { qos: 1, retain: true }, () => client.end());
  }
});

// decodePayload gives no value where a metric does not say its type; the birth said it, as the specification has it.
function known(metric, raw, verb) {
  const alias = plain(metric.alias);
  if (verb === "NBIRTH" || verb === "DBIRTH") births.set(alias, { name: metric.name, type: metric.type });
  const { name, type } = metric.name ? metric : births.get(alias) || {};
  const field = { Boolean: "booleanValue", String: "stringValue", Double: "doubleValue", Int32: "intValue" }[type] || "longValue";
  const value = raw.isNull ? null : metric.value ?? raw[field];
  const quality = metric.properties && metric.properties.Quality;
  return { name, alias, type, value: plain(value), historical: !!metric.isHistorical, timestamp: plain(metric.timestamp),
    quality: quality && { type: quality.type, value: quality.value } };
}

function ask(device) {
  asked = true;
  const rebirth = { name: "Node Control/Rebirth", type: "Boolean", value: true };
  const alias = [...births].find(([, birth]) => birth.name === "Alarm/Acknowledge" && birth.name)[0];
  const write = (topic, metric) => client.publish(topic, sparkplug.encodePayload({ timestamp: Date.now(), metrics: [metric] }));
  write(`spBv1.0/${group}/DCMD/${node}/${device}`, { alias, name: "Alarm/Acknowledge", type: "Boolean", value: true });
  write(`spBv1.0/${group}/NCMD/${node}`, rebirth);
}

// 64-bit integers are objects there
function plain(value) {
  return value && typeof value.toNumber === "function" ? value.toNumber() : value;
}

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
