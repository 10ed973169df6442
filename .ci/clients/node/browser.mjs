// The page in a real browser, on the store of `tailspan demo`, at a server that wants a token: a box on the heat map lists
// exactly its traces, one of them is opened, and the addresses of what was seen show it again.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { CHROMIUM, PAGE, QUERY_TOKEN, SHOTS, ZIPKIN } = process.env;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const BASE = `http://${PAGE}/`;
const WINDOW = "since=2026-01-15T10:01:00Z&until=2026-01-15T11:01:00Z";
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const problems = [];

/** A new window of someone who was never here. */
async function open(address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => problems.push(error.stack));
  page.on("console", (message) => {
    // Refusals that are wanted are logged by the browser itself.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) problems.push(message.text());
  });
  page.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && host !== PAGE && host !== ZIPKIN) problems.push(`asks ${request.url()}`);
  });
  await page.goto(address);
  return page;
}

async function giveToken(page) {
  await page.getByRole("alert").getByRole("button", { name: "Give a token" }).click();
  await page.getByLabel("Token, where this server wants one").fill(QUERY_TOKEN);
  await page.getByRole("button", { name: "Save" }).click();
}

async function answer(path) {
  const response = await fetch(`${BASE}api/${path}`, { headers: { authorization: `Bearer ${QUERY_TOKEN}` } });
  assert.equal(response.status, 200, path);
  return (await response.text()).trim().split("\n").map((line) => JSON.parse(line.replace(/UnixNano":(\d+)/g, 'UnixNano":"$1"')));
}

/** The traces that have a span of the service in the box, told by a list of all its spans. */
async function tracesIn(box, service) {
  const [since, until, min, max] = box.split("~").map(BigInt);
  const spans = (await answer(`slowest?service=${service}&${WINDOW}&limit=0`)).filter((line) => line.traceId);
  const inside = spans.filter((span) => BigInt(span.startUnixNano) >= since && BigInt(span.startUnixNano) < until && BigInt(span.durationNano) >= min && BigInt(span.durationNano) < max);
  return { spans: inside.length, ids: [...new Set(inside.map((span) => span.traceId))].sort() };
}

const boxOf = (page) => new URLSearchParams(page.url().split("?")[1]).get("box");

/** The traces of the list, to the last page. */
async function listed(page) {
  await page.locator("#chosen").waitFor();
  for (let more = page.getByRole("button", { name: /^Show \d+ more$/ }); (await more.count()) > 0;) {
    const before = await page.locator(".traces tbody tr").count();
    await more.click();
    await page.waitForFunction((count) => document.querySelectorAll(".traces tbody tr").length > count, before);
  }
  const links = await page.locator(".traces tbody th a").evaluateAll((all) => all.map((link) => link.getAttribute("href").match(/#\/trace\/([0-9a-f]+)/)[1]));
  return links.sort();
}

async function shot(page, name) {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

/** Whatever can be used has a name to those who hear the page. */
async function assertNamed(page) {
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a[href], input, select, canvas, [role=region], svg[role]")]
    .filter((one) => one.checkVisibility() && !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML.slice(0, 120)));
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator("h1").count(), 1);
}

async function step(name, run) {
  await run();
  assert.deepEqual(problems, [], name);
  console.log(`clients: browser: ${name}`);
}

const page = await open(BASE);
let withBox;

await step("it asks for a token and keeps it for this tab alone", async () => {
  await giveToken(page);
  await page.getByRole("heading", { name: "Services", level: 1 }).waitFor();
  await page.reload();
  await page.locator(".services tbody tr").first().waitFor();
  assert.equal(await page.evaluate((token) => Object.values(localStorage).includes(token), QUERY_TOKEN), false);
});

await step("the services are those of the store, against a week before", async () => {
  await page.goto(`${BASE}#/health?${WINDOW}&sort=service`);
  await page.locator(".services th[aria-sort=ascending]").waitFor();
  await page.locator(".services svg.spark").first().waitFor();
  const names = await page.locator(".services tbody th a").allTextContents();
  const groups = await answer(`latency?by=service&${WINDOW}`);
  assert.deepEqual(names, groups.map((line) => line.group.service).sort());
  const [now] = await answer(`latency?service=payment&${WINDOW}&quantiles=0.99`);
  const row = page.locator(".services tbody tr").filter({ has: page.getByRole("link", { name: "payment", exact: true }) });
  assert.match(await row.textContent(), /from \d+ ms/, "payment was there a week before, and faster");
  assert.ok(now.quantiles[0].valueNano > 1e9);
  await assertNamed(page);
  await shot(page, "services");
});

await step("a box dragged over the slow payments lists exactly their traces", async () => {
  await page.getByRole("link", { name: "payment", exact: true }).click();
  const canvas = page.locator("canvas");
  await canvas.waitFor();
  const place = await canvas.boundingBox();
  await page.mouse.move(place.x + place.width * 0.35, place.y + 12);
  await page.mouse.down();
  await page.mouse.move(place.x + place.width * 0.64, place.y + 104, { steps: 6 });
  await page.mouse.up();
  const ids = await listed(page);
  const expected = await tracesIn(boxOf(page), "payment");
  assert.ok(ids.length > 10, "the slow payments");
  assert.deepEqual(ids, expected.ids);
  assert.match(await page.locator("#chosen").textContent(), new RegExp(`: ${expected.spans} spans$`));
  withBox = page.url();
  await assertNamed(page);
  await shot(page, "heat");
});

await step("what is over-represented in the box is named", async () => {
  const over = await page.locator(".over tbody th").allTextContents();
  assert.ok(over.some((text) => text.includes("slowbank")), over.join(", "));
});

await step("a trace opened from the list is a waterfall with its critical path and events", async () => {
  const link = page.locator(".traces tbody th a").first();
  const id = (await link.getAttribute("href")).match(/[0-9a-f]{32}/)[0];
  await link.click();
  await page.locator("table.spans tbody tr").first().waitFor();
  const [found] = await answer(`critical-path?id=${id}`).then(() => answer(`trace?id=${id}`));
  const spans = found.resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans));
  assert.equal(await page.locator("table.spans > tbody > tr:not(.details-row)").count(), spans.length);
  assert.ok((await page.locator("table.spans .path").count()) > 0);
  await page.getByRole("button", { name: /^payment: / }).first().click();
  const details = page.locator(".details");
  await details.getByText("Read timed out", { exact: false }).first().waitFor();
  await details.getByText("exception.stacktrace").first().waitFor();
  const failed = spans.find((span) => page.url().includes(span.spanId));
  assert.ok(failed, "the address names the span");
  const logs = await details.locator(".logs").allTextContents();
  assert.ok(logs.some((text) => text.includes(`trace_id=${id} span_id=${failed.spanId}`)), logs.join());
  await assertNamed(page);
  await shot(page, "trace");
  const again = await open(page.url());
  await giveToken(again);
  await again.locator("tr.open .span-name").waitFor();
  assert.ok((await again.locator(".details .logs").textContent()).includes(failed.spanId), "the same span is open");
  await again.context().close();
});

await step("the address of the box shows the same box to someone else", async () => {
  const again = await open(withBox);
  await giveToken(again);
  assert.deepEqual(await listed(again), (await tracesIn(boxOf(again), "payment")).ids);
  assert.equal(boxOf(again), new URLSearchParams(withBox.split("?")[1]).get("box"));
  await again.context().close();
});

await step("the keys draw a box as well", async () => {
  await page.goto(`${BASE}#/heat?service=payment&${WINDOW}`);
  await page.locator("canvas").focus();
  for (const key of ["ArrowLeft", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+PageUp", "Enter"]) await page.keyboard.press(key);
  const ids = await listed(page);
  assert.ok(ids.length > 0);
  assert.deepEqual(ids, (await tracesIn(boxOf(page), "payment")).ids);
});

await step("a search by structure finds what the command line finds, and a wrong one says where", async () => {
  await page.goto(`${BASE}#/search?${WINDOW}`);
  const where = page.getByLabel("Where (structure)");
  await where.fill('{ resource.service.name = "checkout" } >> { status = error }');
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.locator(".traces tbody tr").first().waitFor();
  await page.waitForFunction(() => location.hash.includes("where="));
  const found = (await answer(`find?${WINDOW}&limit=50&where=${encodeURIComponent('{ resource.service.name = "checkout" } >> { status = error }')}`)).filter((line) => line.traceId);
  await page.waitForFunction((count) => document.querySelectorAll(".traces tbody tr").length === count, found.length);
  await where.fill("{ foo");
  await page.keyboard.press("Enter");
  assert.match(await page.getByRole("alert").textContent(), /where, character 3/);
});

await step("the map has every link of the store, and a service alone", async () => {
  await page.goto(`${BASE}#/map?${WINDOW}`);
  await page.locator("svg.map .node").first().waitFor();
  const links = (await answer(`links?${WINDOW}`)).filter((line) => line.parent);
  assert.equal(await page.locator("svg.map .edge").count(), links.length);
  await assertNamed(page);
  await page.getByRole("link", { name: /^payment: / }).click();
  await page.getByRole("heading", { name: "Calls around payment" }).waitFor();
  await page.waitForFunction((count) => document.querySelectorAll("svg.map .edge").length === count, links.filter((line) => line.parent === "payment" || line.child === "payment").length);
  await shot(page, "map");
});

await step("where there is nothing it says what to do, and so it does for a trace that is not there", async () => {
  await page.goto(`${BASE}#/health?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z`);
  await page.getByRole("heading", { name: "No spans here" }).waitFor();
  await page.getByRole("link", { name: "Show the newest spans there are" }).click();
  await page.locator(".services tbody tr").first().waitFor();
  await page.goto(`${BASE}#/trace/abc`);
  assert.match(await page.getByRole("alert").textContent(), /no such trace/);
});

await step("it is at Zipkin's door, light and dark", async () => {
  const colours = [];
  for (const colorScheme of ["light", "dark"]) {
    const other = await open(`http://${ZIPKIN}/zipkin/`, { colorScheme });
    await giveToken(other);
    await other.locator(".services tbody tr").first().waitFor();
    colours.push(await other.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await other.context().close();
  }
  assert.notEqual(colours[0], colours[1]);
});

await browser.close();
