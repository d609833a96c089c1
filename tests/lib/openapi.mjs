// scripts/openapi.yaml: its operations, and whether an answer is as it describes it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

import { Connection } from "./http.mjs";
import { parseEvent } from "./sse.mjs";

const ROOT = new URL("../..", import.meta.url);
export const source = (path) => readFileSync(new URL(path, ROOT), "utf8");

// The rows of common/routes.def: [{ id, paths, methods: [{ method, scope, handler, ids }] }]
export const routes = () =>
  [...source("common/routes.def").matchAll(/^ROUTE\((\w+), "\w+",$([^]*?)\)\)$/gm)].map(([, id, text]) => ({
    id,
    paths: [...text.matchAll(/\bPATH\("([^"]*)", \w+, "([^"]*)", "([^"]*)"\)/g)].map(([, ...parts]) => parts.join("")),
    methods: [...text.matchAll(/\bON\((\w+), (\w+), (\w+), \w+, "([^"]*)"/g)].map(([, method, scope, handler, ids]) => ({
      method,
      scope,
      handler,
      ids: ids.split(" "),
    })),
  }));

const FILE = "scripts/openapi.yaml";
const METHODS = ["get", "head", "post", "put", "delete", "options", "patch", "trace"];

const escaped = (key) => key.replaceAll("~", "~0").replaceAll("/", "~1");
const at = (pointer, ...keys) => [pointer, ...keys.map(escaped)].join("/");

// Errors of a public validator: [] if the description is valid.
export async function validate() {
  const { valid, errors } = await new Validator().validate(fileURLToPath(new URL(FILE, ROOT)));
  return valid ? [] : errors;
}

export class Description {
  document = parse(source(FILE));
  #ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  #common = "#/x-common-headers";

  constructor() {
    addFormats(this.#ajv);
    for (const word of Object.keys(this.document)) this.#ajv.addVocabulary([word]);
    this.#ajv.addSchema(this.document, "openapi");
    // [{ id, path, route, method, scope, pointer }]
    this.operations = Object.entries(this.document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => ({
        id: item[method].operationId,
        path,
        route: item["x-route"],
        method: method.toUpperCase(),
        scope: item[method]["x-scope"],
        pointer: at("#/paths", path, method),
        parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])].map((one) => this.resolve(one)),
        statuses: Object.keys(item[method].responses).map(Number),
      })),
    );
  }

  operation(id) {
    return this.operations.find((one) => one.id === id);
  }

  // What is at a pointer.
  node(pointer) {
    const keys = pointer.split("/").slice(1);
    return keys.reduce((node, key) => node?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.document);
  }

  // What an object stands for: it may be a reference.
  resolve(what) {
    return what.$ref ? this.node(what.$ref) : what;
  }

  // Where the thing at a pointer is, after its reference.
  #follow(pointer) {
    const { $ref } = this.node(pointer);
    return $ref ? this.#follow($ref) : pointer;
  }

  // Why a value is not as the schema at this pointer says; "" if it is.
  mismatch(pointer, value) {
    const valid = this.#ajv.getSchema(`openapi${pointer}`);
    return valid(value) ? "" : this.#ajv.errorsText(valid.errors, { dataVar: "" });
  }

  // Every schema of the description can be used: throws if one cannot.
  compile(pointer = "#", node = this.document) {
    if (typeof node !== "object" || node === null) return;
    for (const [key, value] of Object.entries(node))
      if (key === "schema") this.#ajv.getSchema(`openapi${at(pointer, key)}`);
      else if (pointer === "#/components/schemas") this.#ajv.getSchema(`openapi${at(pointer, key)}`);
      else if (!["example", "examples"].includes(key)) this.compile(at(pointer, key), value);
  }

  // The codes an operation may answer a status with.
  codes(operation, status) {
    const pointer = this.#follow(at(operation.pointer, "responses", `${status}`));
    const { content, headers } = this.node(pointer);
    const { schema } = content["application/json"];
    const inHeader = headers?.["Stream-Error-Code"] ? this.resolve(headers["Stream-Error-Code"]).schema.enum : [];
    return [...(schema.properties ?? this.resolve(schema).properties).code.enum, ...inHeader];
  }

  // The names of the headers that answers are described to have, but those of every answer.
  get headers() {
    const responses = [
      ...Object.values(this.document.components.responses),
      ...this.operations.flatMap(({ pointer }) => Object.values(this.node(`${pointer}/responses`))),
    ];
    return new Set(responses.flatMap((one) => Object.keys(this.resolve(one).headers ?? {})));
  }

  // What of an answer is not as described: [] if all is.
  complaints({ pointer, method }, answer) {
    const responses = at(pointer, "responses");
    if (!this.node(responses)[answer.status]) return [`${answer.status} is not described: ${answer.text}`];
    return this.judge(at(responses, `${answer.status}`), answer, method === "HEAD");
  }

  // The same, of the response at a pointer.
  judge(pointer, answer, bodiless = false) {
    const response = this.#follow(pointer);
    return [...this.#judgeHeaders(response, answer), ...(bodiless ? [] : this.#judgeBody(response, answer))];
  }

  #judgeHeaders(response, answer) {
    const complaints = [];
    const described = {};
    for (const pointer of [this.#common, at(response, "headers")])
      for (const name of Object.keys(this.node(pointer) ?? {}))
        described[name.toLowerCase()] = this.#follow(at(pointer, name));
    for (const [name, text] of Object.entries(answer.headers)) {
      const wrong = described[name] ? this.#headerMismatch(at(described[name], "schema"), text) : "is not described";
      if (wrong) complaints.push(`header ${name}: ${text}: ${wrong}`);
    }
    for (const [name, pointer] of Object.entries(described))
      if (this.node(pointer).required && !(name in answer.headers)) complaints.push(`there is no header ${name}`);
    return complaints;
  }

  #headerMismatch(schema, text) {
    const wrong = this.mismatch(schema, text);
    return wrong && /^\d+$/.test(text) ? this.mismatch(schema, Number(text)) : wrong;
  }

  #judgeBody(response, answer) {
    const { content } = this.node(response);
    if (!content) return answer.body.length ? [`a body where none is described: ${answer.text}`] : [];
    const type = answer.headers["content-type"];
    const described = [type, "*/*"].find((one) => one in content);
    if (!described) return [`a body of type ${type} is not described`];
    if (type === "text/event-stream") return this.#judgeEvents(answer.text);
    const wrong = this.mismatch(
      at(response, "content", described, "schema"),
      type === "application/json" ? answer.json() : answer.text,
    );
    return wrong ? [`body ${answer.text}: ${wrong}`] : [];
  }

  #judgeEvents(text) {
    const events = text.split("\n\n").slice(0, -1).map(parseEvent);
    if (!events.length) return [`no events: ${text}`];
    return events.flatMap(({ type, data }) => {
      if (type === "data") return [];
      if (type !== "control") return [`an event of type ${type}`];
      const wrong = this.mismatch("#/components/schemas/Control", JSON.parse(data));
      return wrong ? [`control ${data}: ${wrong}`] : [];
    });
  }
}

// The bytes of a request. lines: headers as they are; version and host may be wrong.
export function requestBytes(
  method,
  target,
  { headers = {}, lines = [], body, version = "HTTP/1.1", host = "h" } = {},
) {
  const data = body === undefined ? undefined : typeof body === "object" ? JSON.stringify(body) : body;
  const head = [
    `${method} ${target} ${version}`,
    ...(host ? [`Host: ${host}`] : []),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...lines,
    ...(data === undefined ? [] : [`Content-Length: ${Buffer.byteLength(data)}`]),
  ];
  return `${head.join("\r\n")}\r\n\r\n${data ?? ""}`;
}

// The target of an operation: its path with these values, and a query.
export function targetOf(operation, values = {}, query = {}) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
  return Object.keys(query).length ? `${path}?${new URLSearchParams(query)}` : path;
}

// Sends a request on a connection of its own and returns the answer.
export async function ask(url, method, target, options) {
  const connection = await Connection.open(url);
  try {
    return await connection.send(requestBytes(method, target, options)).answer(method);
  } finally {
    connection.destroy();
  }
}
