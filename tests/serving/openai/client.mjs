// What a program in JavaScript does with the gateway: prints what came back, as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const chat = (content, more = {}) =>
  client.chat.completions.create({ model: "desk", messages: user(content), ...more });
const tools = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }];
const found = {};

found.whole = (await chat("one two")).choices[0].message.content;

found.streamed = "";
for await (const chunk of await chat("one two", { stream: true, stream_options: { include_usage: true } })) {
  found.streamed += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.usage) found.usage = chunk.usage.total_tokens;
}

const calling = client.chat.completions.stream({
  model: "desk",
  messages: user('call add {"a": 1} | add {"a": 2}'),
  tools,
});
const message = (await calling.finalChatCompletion()).choices[0].message;
found.calls = message.tool_calls.map((call) => JSON.parse(call.function.arguments));

found.helper = await client.chat.completions.stream({ model: "desk", messages: user("one two") }).finalContent();

const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } } };
const parsed = await client.chat.completions.parse({
  model: "desk",
  messages: user('{"name": "Ann", "age": 31}'),
  response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
});
found.parsed = JSON.parse(parsed.choices[0].message.content);

found.completion = (await client.completions.create({ model: "writer", prompt: "one two" })).choices[0].text;

const { embedding } = (await client.embeddings.create({ model: "vectors", input: "ab" })).data[0];
found.width = embedding.length;
found.length = Math.round(Math.hypot(...embedding) * 1e6) / 1e6;

found.models = [];
for await (const model of client.models.list()) found.models.push(model.id);

const error = async (work) => {
  try {
    await work;
  } catch (problem) {
    return problem;
  }
};
const refused = await error(chat("a", { temperature: 3 }));
found.refused = [refused.constructor.name, refused.param, refused.code];
found.long = (await error(chat("fail context"))).code;
found.missing = (await error(client.models.retrieve("gpt"))).constructor.name;
found.full = (await error(chat("fail full", { stream: true }))).constructor.name;
const broken = async () => {
  for await (const _ of await chat("break full of words", { stream: true })) continue;
};
found.broken = (await error(broken())).message;

const left = await chat("slowly 0.05 node " + "word ".repeat(300), { stream: true });
for await (const chunk of left) if (chunk.choices[0].delta.content) break;

console.log(JSON.stringify(found));
