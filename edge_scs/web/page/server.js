// What the page says to the server that it came from, and to nobody else.

let token = "";
let maxMegabytes = Infinity;

/** A path of this page's session: at("images/3/view"). */
export const at = (path) => `/s/${token}/${path}`;

/** Send a request; the answer, or an Error with the server's one line. */
export async function call(method, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is edge-scs web still running?");
  }
  if (answer.ok) return answer;
  let message = `${answer.status} ${answer.statusText}`;
  try {
    message = (await answer.json()).message || message;
  } catch { /* no message of ours */ }
  throw Object.assign(new Error(message), { status: answer.status });
}

/** Begin a session; what the network behind the page can do. */
export async function begin() {
  const about = await (await call("POST", "/sessions")).json();
  token = about.token;
  maxMegabytes = about.max_megabytes;
  // The session ends with the page, and what was uploaded with the session.
  addEventListener("pagehide", () => navigator.sendBeacon(at("end")));
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  return about;
}

/** Send a file; what the server says of it. One that is too large is not even begun. */
export async function upload(where, file) {
  if (file.size > maxMegabytes * 2 ** 20) {
    throw new Error(`${file.name}: larger than ${maxMegabytes} MB; crop or shrink it first`);
  }
  return (await call("POST", `${at(where)}?name=${encodeURIComponent(file.name)}`, file)).json();
}

export const state = async () => (await (await call("GET", at("state"))).json()).images;
