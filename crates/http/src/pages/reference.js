// Renders the OpenAPI document of this instance. Text only ever becomes text nodes, so nothing in the
// document can act on the page.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let schemas = {};

/** An element: `el("a.big", {href}, child, …)`; strings become text. */
function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined) node.setAttribute(key, value);
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/** The little Markdown that descriptions use: `code` and **bold** … */
function words(text) {
  return String(text || "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return el("b", {}, part.slice(2, -2));
    return part;
  });
}

/** … in paragraphs. */
function prose(text) {
  return String(text || "").split(/\n{2,}/).filter(Boolean).map((block) => el("p", {}, ...words(block)));
}

const nameOf = (ref) => ref.split("/").pop();
const resolve = (schema) => (schema && schema.$ref ? schemas[nameOf(schema.$ref)] || {} : schema || {});
const isNull = (schema) => schema.type === "null";
const variants = (schema) => schema.oneOf || schema.anyOf || null;

/** The type of a schema, as nodes; named schemas are links. */
function type(schema) {
  if (!schema || Object.keys(schema).length === 0) return ["anything"];
  if (schema.$ref) return [el("a", { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const union = variants(schema);
  if (union) return union.flatMap((one, i) => [...(i ? [" or "] : []), ...(one.title && !one.$ref ? [one.title] : type(one))]);
  if (schema.allOf) return schema.allOf.flatMap((one, i) => [...(i ? [" and "] : []), ...type(one)]);
  const types = [schema.type || "anything"].flat();
  return types.flatMap((one, i) => {
    const or = i ? [" or "] : [];
    if (one === "array") return [...or, "list of ", ...type(schema.items)];
    if (one === "object" && typeof schema.additionalProperties === "object") return [...or, "map to ", ...type(schema.additionalProperties)];
    return [...or, schema.format && one !== "null" ? `${one} (${schema.format})` : one];
  });
}

/** The bounds of a value, in words. */
function bounds(schema) {
  const said = [];
  const values = schema.enum || (schema.items && schema.items.enum);
  if (values) said.push(`one of ${values.map((v) => JSON.stringify(v)).join(", ")}`);
  if (schema.const !== undefined) said.push(`always ${JSON.stringify(schema.const)}`);
  if (schema.minLength !== undefined || schema.maxLength !== undefined) said.push(`${schema.minLength || 0} to ${schema.maxLength === undefined ? "any number of" : schema.maxLength} characters`);
  if (schema.minimum !== undefined) said.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) said.push(`at most ${schema.maximum}`);
  if (schema.minItems !== undefined) said.push(`at least ${schema.minItems} items`);
  if (schema.maxItems !== undefined) said.push(`at most ${schema.maxItems} items`);
  if (schema.pattern) said.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined) said.push(`${JSON.stringify(schema.default)} if not given`);
  return said.join("; ");
}

function field(name, schema, required, description) {
  const bound = bounds(schema);
  const example = schema.example !== undefined ? schema.example : (schema.examples || [])[0];
  return el("div.field", {},
    el("div.name", {}, el("code", {}, name), required ? el("span.must", {}, "required") : null),
    el("div", {}, el("span.type", {}, type(schema)), bound ? el("span.note", {}, ` · ${bound}`) : null,
      ...prose(description || schema.description),
      example !== undefined ? el("div.note", {}, "for example ", el("code", {}, typeof example === "string" ? example : JSON.stringify(example))) : null));
}

/** The members of a schema; of unions, those of each variant. */
function members(schema, depth) {
  if (depth > 4) return [];
  const whole = resolve(schema);
  const union = (variants(whole) || []).filter((one) => !isNull(one));
  if (union.length) {
    return union.map((one) => el("details", {}, el("summary", {}, el("span.type", {}, one.title || type(one))), el("div.nested", {}, ...members(one, depth + 1))));
  }
  if (whole.allOf) return whole.allOf.flatMap((one) => members(one, depth + 1));
  if ([whole.type].flat().includes("array")) return members(whole.items, depth + 1);
  const required = whole.required || [];
  const fields = Object.entries(whole.properties || {}).map(([name, one]) => field(name, one, required.includes(name)));
  return fields.length ? [el("div.fields", {}, ...fields)] : [];
}

/** An example of a schema: the given ones where there are, made up where not. */
function example(schema, depth = 0) {
  const whole = resolve(schema);
  if (whole.example !== undefined) return whole.example;
  if (whole.examples) return whole.examples[0];
  if (whole.default !== undefined) return whole.default;
  if (whole.const !== undefined) return whole.const;
  if (whole.enum) return whole.enum[0];
  if (depth > 5) return null;
  if (whole.allOf) return Object.assign({}, ...whole.allOf.map((one) => example(one, depth + 1)));
  const union = variants(whole);
  if (union) return example(union.find((one) => !isNull(one)) || union[0], depth + 1);
  const kind = [whole.type].flat().find((one) => one !== "null");
  if (kind === "array") return [example(whole.items, depth + 1)];
  if (kind === "object" || whole.properties) {
    return Object.fromEntries(Object.entries(whole.properties || {}).map(([name, one]) => [name, example(one, depth + 1)]));
  }
  if (kind === "integer" || kind === "number") return whole.minimum || 1;
  if (kind === "boolean") return true;
  return { uuid: "0192f0c1-5b7e-7c3a-9a51-2f8b4d1e6a70", "date-time": "2026-01-31T09:30:00Z", date: "2026-01-31", uri: "https://example.org/" }[whole.format] || "text";
}

const block = (value) => el("pre", { tabindex: "0" }, el("code", {}, JSON.stringify(value, null, 2)));

function content(media) {
  return Object.entries(media || {}).flatMap(([mediaType, { schema }]) => {
    const binary = mediaType === "application/octet-stream";
    return [
      el("div.line", {}, el("code", {}, mediaType), el("span.type", {}, binary ? "bytes" : type(schema))),
      ...(binary ? [] : members(schema, 0)),
      binary ? null : el("details", {}, el("summary.note", {}, "Example"), block(example(schema))),
    ];
  });
}

/** A text as one word of a shell. */
const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
/** What a parameter is for example. */
const sample = (one) => String(one.example !== undefined ? one.example : example(one.schema || {}));
/** The media type and the schema of a body, JSON if it may be that. */
const bodyOf = (op) => Object.entries((op.requestBody && op.requestBody.content) || {}).find(([type]) => type.includes("json")) || Object.entries((op.requestBody && op.requestBody.content) || {})[0];
const isOpen = (op) => (op.security || []).length === 0 || op.security.some((one) => Object.keys(one).length === 0);
/** Where an operation is, with what stands for its parameters. */
function address(path, op, value) {
  const filled = (op.parameters || []).filter((one) => one.in === "path").reduce((so, one) => so.replace(`{${one.name}}`, encodeURIComponent(value(one))), path);
  const query = (op.parameters || []).filter((one) => one.in === "query" && value(one) !== "").map((one) => `${encodeURIComponent(one.name)}=${encodeURIComponent(value(one))}`);
  return filled + (query.length ? `?${query.join("&")}` : "");
}

/** The operation as a line for a shell, with the token in $TOKEN. */
function curl(path, method, op) {
  const body = bodyOf(op);
  const needed = (one) => (one.in === "path" || one.required ? sample(one) : "");
  const parts = [`curl -sS ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quoted(location.origin + address(path, op, needed))}`];
  if (!isOpen(op)) parts.push('-H "Authorization: Bearer $TOKEN"');
  for (const one of (op.parameters || []).filter((p) => p.in === "header" && p.required)) parts.push(`-H ${quoted(`${one.name}: ${sample(one)}`)}`);
  if (body) {
    parts.push(`-H ${quoted(`Content-Type: ${body[0]}`)}`);
    parts.push(body[0].includes("json") ? `-d ${quoted(JSON.stringify(example(body[1].schema)))}` : "--data-binary @file");
  }
  return el("pre", { tabindex: "0" }, el("code", {}, parts.join(" \\\n  ")));
}

/** A form that sends the operation, with the token of the page. */
function attempt(path, method, op) {
  const body = bodyOf(op);
  if (body && !body[0].includes("json")) return null;
  const inputs = (op.parameters || []).filter((one) => one.in !== "cookie").map((one) => [one, el("input", { value: one.in === "path" ? sample(one) : "", autocomplete: "off" })]);
  const text = body && el("textarea", { spellcheck: "false" });
  if (text) text.value = JSON.stringify(example(body[1].schema), null, 2);
  const shown = el("div", { role: "status" });
  const form = el("form.try", {}, ...inputs.map(([one, input]) => el("label", {}, one.name, input)), text ? el("label", {}, "Body", text) : null, el("button", {}, "Send"), shown);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const value = (one) => inputs.find(([other]) => other === one)[1].value;
    const headers = {};
    const token = document.getElementById("token").value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    for (const [one, input] of inputs) if (one.in === "header" && input.value) headers[one.name] = input.value;
    if (text) headers["Content-Type"] = body[0];
    shown.replaceChildren(el("p.note", {}, "…"));
    try {
      const response = await fetch(address(path, op, value), { method: method.toUpperCase(), headers, body: text ? text.value : undefined, credentials: "omit" });
      const received = await response.text();
      let pretty = received;
      try { pretty = JSON.stringify(JSON.parse(received), null, 2); } catch { /* Not everything is JSON. */ }
      shown.replaceChildren(el("p", {}, el(`span.status.${response.ok ? "good" : "bad"}`, {}, String(response.status)), response.statusText), pretty ? el("pre", { tabindex: "0" }, el("code", {}, pretty)) : "");
    } catch (error) {
      shown.replaceChildren(el("p.note", {}, `No response: ${error.message}`));
    }
  });
  return form;
}

/** Shown when it is opened: most are never looked at. */
function later(label, make) {
  const node = el("details", {}, el("summary.note", {}, label));
  node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(make()); });
  return node;
}

function operation(path, method, op) {
  const parameters = (op.parameters || []).map((one) => field(one.name, Object.assign({ example: one.example }, one.schema), one.required, `${one.in === "path" ? "" : `In the ${one.in}. `}${one.description || ""}`));
  const open = (op.security || []).length === 0 || op.security.some((one) => Object.keys(one).length === 0);
  const body = op.requestBody && op.requestBody.content;
  const answers = Object.entries(op.responses || {}).map(([status, answer]) => {
    const good = /^[123]/.test(status);
    const problem = answer.content && answer.content["application/problem+json"];
    const head = [el(`span.status.${good ? "good" : "bad"}`, {}, status), el("span", {}, ...words(answer.description))];
    if (problem || !answer.content) return el("div.line", {}, ...head);
    return el("details", {}, el("summary", {}, ...head), el("div.nested", {},
      ...Object.entries(answer.headers || {}).map(([name, header]) => field(name, header.schema || {}, false, header.description)), ...content(answer.content)));
  });
  return el("article", { id: op.operationId, "data-search": `${op.operationId} ${path} ${op.summary} ${method}`.toLowerCase() },
    el("h3", {}, el("a", { href: `#${op.operationId}` }, op.summary || op.operationId)),
    el("div.line", {}, el(`span.method.${method}`, {}, method.toUpperCase()), el("span.path", {}, path)),
    el("div.line", {}, el("span.badge", {}, op.operationId),
      op["x-permission"] ? el("span.badge", {}, `permission ${op["x-permission"]}`) : null,
      op["x-scope"] ? el("span.badge", {}, `scope ${op["x-scope"]}`) : null,
      open ? el("span.badge", {}, "no credential needed") : null,
      op.deprecated ? el("span.badge", {}, "deprecated") : null),
    ...prose(op.description),
    parameters.length ? [el("h4", {}, "Parameters"), el("div.fields", {}, ...parameters)] : null,
    body ? [el("h4", {}, "Body"), ...content(body)] : null,
    el("h4", {}, "Send it"), later("As a line for a shell", () => curl(path, method, op)),
    body && !bodyOf(op)[0].includes("json") ? null : later("Try it", () => attempt(path, method, op)),
    el("h4", {}, "Answers"), ...answers);
}

function schemaCard(name, schema) {
  return el("article", { id: `schema-${name}`, "data-search": name.toLowerCase() },
    el("h3", {}, el("a", { href: `#schema-${name}` }, name)),
    ...prose(schema.description),
    ...(members(schema, 0).length ? members(schema, 0) : [el("p.note", {}, el("span.type", {}, type(schema)), ` ${bounds(schema)}`)]),
    el("details", {}, el("summary.note", {}, "Example"), block(example(schema))));
}

function link(target, label, method) {
  return el("a", { href: `#${target}`, "data-target": target }, method ? el(`span.method.${method}`, {}, method.toUpperCase()) : null, el("span", {}, label));
}

function render(doc) {
  schemas = (doc.components || {}).schemas || {};
  const groups = new Map((doc.tags || []).map((tag) => [tag.name, { about: tag.description, operations: [] }]));
  for (const [path, item] of Object.entries(doc.paths || {})) {
    for (const method of METHODS.filter((one) => item[one])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, { about: "", operations: [] });
      groups.get(tag).operations.push([path, method, item[method]]);
    }
  }
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  main.replaceChildren(el("header", {}, el("h1", {}, doc.info.title), el("p.version", {}, `Version ${doc.info.version} · OpenAPI ${doc.openapi} · `, el("a", { href: "/api/v1/openapi.json" }, "document")), ...prose(doc.info.description)));
  contents.replaceChildren();
  for (const [tag, { about, operations }] of groups) {
    if (!operations.length) continue;
    main.append(el("section.group", {}, el("h2", { id: `group-${tag}` }, tag), ...prose(about), ...operations.map((one) => operation(...one))));
    contents.append(el("section", {}, el("h2", {}, tag), ...operations.map(([, method, op]) => link(op.operationId, op.summary || op.operationId, method))));
  }
  const names = Object.keys(schemas).sort();
  main.append(el("section.group", {}, el("h2", {}, "Schemas"), ...names.map((name) => schemaCard(name, schemas[name]))));
  contents.append(el("section", {}, el("h2", {}, "Schemas"), ...names.map((name) => link(`schema-${name}`, name))));
  main.append(el("p.empty", { id: "nothing", hidden: "" }, "Nothing fits."));
}

/** Shows what every word of the search is in, and hides the rest. */
function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const article of document.querySelectorAll("article")) {
    const fits = words.every((word) => article.dataset.search.includes(word));
    article.hidden = !fits;
    shown += fits ? 1 : 0;
    const entry = document.querySelector(`#contents a[data-target="${CSS.escape(article.id)}"]`);
    if (entry) entry.hidden = !fits;
  }
  for (const section of document.querySelectorAll("section")) section.hidden = !section.querySelector("article:not([hidden]), a:not([hidden])");
  document.getElementById("nothing").hidden = shown > 0;
}

/** Opens and shows what the address names; a problem's address leads to the schema of problems. */
function follow() {
  const target = decodeURIComponent(location.hash.slice(1));
  for (const entry of document.querySelectorAll("#contents a")) entry.classList.toggle("here", entry.dataset.target === target);
  const node = document.getElementById(target.startsWith("problem-") ? "schema-Problem" : target);
  if (node) node.scrollIntoView();
}

async function start() {
  const main = document.getElementById("main");
  try {
    const answer = await fetch("/api/v1/openapi.json");
    if (!answer.ok) throw new Error(`the document answered ${answer.status}`);
    render(await answer.json());
  } catch (error) {
    main.replaceChildren(el("p", {}, `The document could not be read: ${error.message}`));
    return;
  }
  const box = document.getElementById("search");
  box.addEventListener("input", () => search(box.value));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); }
    if (event.key === "Escape" && document.activeElement === box) { box.value = ""; search(""); }
  });
  addEventListener("hashchange", follow);
  follow();
}

start();
