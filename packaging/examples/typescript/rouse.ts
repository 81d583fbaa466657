/**
 * Sidecars behind rouse, for a program that wants to know that one is ready before it connects.
 *
 * No program has to ask: a connection to a sidecar's port wakes it, and bytes keep it awake. There is no idle watcher
 * either: rouse stops what nobody uses.
 *
 * Needs the control sockets in /run/rouse. Where that folder is missing, nothing is managed and every sidecar counts as
 * running.
 */

import { existsSync } from "node:fs";
import { request } from "node:http";

const FOLDER = process.env.ROUSE_DIR ?? "/run/rouse";
/** What a sidecar may be called. Nothing else comes near a path. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,89}$/;
/** For calls that wait for nothing. A wake has no limit here: the helper has its own, `wake_timeout`. */
const TIMEOUT_MS = 10_000;

/**
 * Wakes a sidecar and resolves when it is ready; counts as use.
 * Rejects with the reason, and what to do about it, when it does not get ready.
 */
export async function ensureSidecar(name: string): Promise<void> {
  if (!existsSync(FOLDER)) return;
  const answer = NAME.test(name) ? await call("POST", name, "/wake").catch(meaning) : UNKNOWN;
  if (answer.status === UNKNOWN.status) throw new Error(`Unknown sidecar: ${name}`);
  if (answer.status !== 200) throw new Error(`Failed to start ${name}: ${reason(answer, name)}`);
}

/** Counts as use, and wakes nothing: to be called when long work is done. Never fails. */
export function markSidecarUsed(name: string): void {
  if (!NAME.test(name)) return;
  call("POST", name, "/touch", AbortSignal.timeout(TIMEOUT_MS)).catch(() => {});
}

/** Whether a sidecar's container is up; wakes nothing. For health endpoints: resolves within 10 s, never rejects. */
export async function isSidecarRunning(name: string): Promise<boolean> {
  if (!existsSync(FOLDER)) return true;
  if (!NAME.test(name)) return false;
  const { status, body } = await call("GET", name, "", AbortSignal.timeout(TIMEOUT_MS)).catch(() => UNKNOWN);
  return status === 200 && body.running === true;
}

// --- the control socket ---------------------------------------------------------------------------------------------

interface Answer {
  status: number;
  /** What the call is documented to answer, or `error` and `hint`; without an answer, `error` and its `code`. */
  body: { running?: unknown; error?: unknown; hint?: unknown; code?: unknown };
}

const UNKNOWN: Answer = { status: 404, body: {} };

/** Calls a sidecar's helper; systemd starts it if none runs. */
async function call(method: "GET" | "POST", name: string, verb: string, signal?: AbortSignal): Promise<Answer> {
  try {
    return await exchange(method, name, verb, signal);
  } catch (error) {
    // The helper ended before it answered. The socket is systemd's: the next helper answers there, and no call harms twice.
    if (code(error) !== "ECONNRESET" && code(error) !== "EPIPE") throw error;
    return exchange(method, name, verb, signal);
  }
}

function exchange(method: string, name: string, verb: string, signal?: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const path = `/v1/sidecars/${name}${verb}`;
    const options = { socketPath: socket(name), path, method, signal, agent: false, headers: { host: "rouse" } };
    const asking = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: parsed(text) }));
      response.on("error", reject);
    });
    asking.on("error", reject);
    asking.end();
  });
}

function socket(name: string): string {
  return `${FOLDER}/${name}.sock`;
}

function parsed(text: string): Answer["body"] {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

function code(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

/** What it means that a call got no answer. */
function meaning(error: unknown): Answer {
  // Without its socket there is no such sidecar.
  if (code(error) === "ENOENT") return UNKNOWN;
  return { status: 0, body: { error: (error as Error).message, code: code(error) } };
}

/** Why not, and what to do about it. */
function reason({ status, body }: Answer, name: string): string {
  const hints: Record<string, string> = {
    EACCES: "be a member of group rouse; in a container, see group_add",
    ECONNREFUSED: `turn it on: systemctl enable --now rouse@${name}.socket`,
  };
  const hint = body.hint ?? hints[String(body.code)] ?? `journalctl -u rouse@${name} tells why`;
  return `${body.error ?? `HTTP ${status}`}: ${hint}`;
}
