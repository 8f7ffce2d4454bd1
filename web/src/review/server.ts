// Requests to the server, with the person's token.
import { forgetText, recallText, rememberText } from '../tab_store.ts';

const TOKEN = 'sam3-review-token';

/** The server refused a request; its sentence says why. */
export class RefusedError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export function setToken(token: string): void {
  if (token) rememberText(TOKEN, token);
  else forgetText(TOKEN);
}

function buildHeaders(): Record<string, string> {
  const token = recallText(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Ask the server; without a connection the browser's own error is thrown. */
async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(path, { ...init, headers: { ...buildHeaders(), ...init.headers } });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null) as { error?: { message?: string } } | null;
  throw new RefusedError(answer.status, body?.error?.message ?? `the server answered ${answer.status}`);
}

export async function getJson<T>(path: string): Promise<T> {
  return await (await request(path)).json() as T;
}

export async function getBlob(path: string): Promise<Blob> {
  return (await request(path)).blob();
}

export async function postJson<T>(path: string, body: unknown, keepalive = false): Promise<T> {
  const init = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' }, keepalive };
  return await (await request(path, init)).json() as T;
}

/** Whether an error means that there is no server now: it is asked again later. A proxy's word counts as silence. */
export function isOffline(error: unknown): boolean {
  return !(error instanceof RefusedError) || error.status >= 500 || error.status === 429;
}

export function makeId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The id of this page, which outlives that it is loaded again. */
export function getPageId(): string {
  const held = recallText('sam3-review-page') ?? makeId();
  rememberText('sam3-review-page', held);
  return held;
}
