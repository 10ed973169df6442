// Questions to the server. A question is a command of the command line and its flags; the answer is its lines.

const TOKEN = "tailspan-token";
// Times do not fit a double exactly: they come as BigInt. Within texts the quotes around the name would be escaped.
const TIMES = /"((?:start|end)UnixNano)":(\d+)/g;

/** Why a question was not answered, and what can be done. */
export class Refused extends Error {
  constructor(status, message, advice) {
    super(message);
    Object.assign(this, { status, advice });
  }
}

export const token = () => sessionStorage.getItem(TOKEN) ?? "";

/** Keeps the token as long as this tab lives; an empty one is forgotten. */
export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

function parse(line) {
  const times = line.replace(TIMES, '"$1":"$2n"');
  return JSON.parse(times, (key, value) =>
    /^(start|end)UnixNano$/.test(key) && typeof value === "string" ? BigInt(value.slice(0, -1)) : value,
  );
}

function advice(status) {
  switch (status) {
    case 400: return "Correct the filters, then ask again.";
    case 401: return "Give a token of this server (a line of its --query-tokens file) in Settings.";
    case 404: return "Look at the id, or at whether the trace was deleted or is older than what is kept.";
    case 503: return "The question took too long or the store is closed. Ask for a shorter time or fewer spans, or raise --query-time.";
    case 429: return "The server is busy. Ask again in a moment.";
    default: return "The server's own messages may say more.";
  }
}

/** The question as a path: flags are pairs; one whose value is true is bare. */
export function path(command, flags) {
  const query = new URLSearchParams(flags.map(([name, value]) => [name, value === true ? "" : String(value)]));
  return `api/${command}?${query}`;
}

/** The answer of the server as text. */
export async function text(address, signal) {
  const headers = token() ? { authorization: `Bearer ${token()}` } : {};
  let answer;
  try {
    answer = await fetch(address, { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" });
    if (answer.ok) return await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server did not answer.", `Is tailspan serve running at ${location.host}?`);
  }
  throw new Refused(answer.status, (await answer.text()) || `Status ${answer.status}`, advice(answer.status));
}

/** The lines of a command, and its last one that says whether that is all. */
export async function ask(command, flags, signal) {
  const lines = (await text(path(command, flags), signal)).split("\n").filter((line) => line !== "").map(parse);
  const summary = lines.length > 0 && lines.at(-1).summary ? lines.pop().summary : { complete: true, reason: null };
  return { lines, summary };
}

/** The question as one would type it in a terminal. */
export function terminal(command, flags) {
  const quoted = (text) => (/^[\w@%+=:,.\/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const words = flags.map(([name, value]) => {
    if (name === "id") return quoted(value);
    return value === true ? `--${name}` : `--${name}=${quoted(String(value))}`;
  });
  return ["tailspan", command, "STORE", ...words].join(" ");
}
