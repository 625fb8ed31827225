// The administration API, as this page uses it: the cookie stands for the key, changes show the session's token.

const BASE = "/admin/v1/";
let csrf = null;

/** A refusal of the API (RFC 9457), or no answer at all (status 0). */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

/** Who we are; refused with 401 where a key is to be shown first. */
export async function session() {
  return noted(await call("GET", "session"));
}

export async function logIn(key) {
  return noted(await call("POST", "session", { key }));
}

export async function logOut() {
  await call("DELETE", "session");
  csrf = null;
}

function noted(view) {
  csrf = view.csrf ?? null;
  return view;
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (csrf !== null && method !== "GET") headers["x-csrf-token"] = csrf;
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
  } catch {
    throw new Refusal(0, "The gateway does not answer.");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    throw new Refusal(answer.status, `The answer is no JSON (${answer.status}).`);
  }
  if (!answer.ok) throw new Refusal(answer.status, value?.detail ?? `Refused (${answer.status}).`);
  return value;
}
