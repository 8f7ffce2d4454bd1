// Which work belongs to which tab: a tab holds a lock on its own, and the browser lets go of it when the tab is gone.
import { recallText, rememberText } from '../tab_store.ts';

const WORK = 'sam3-kept-work', PREFIX = 'sam3-work ';
/** Milliseconds for the page before a reload to let go. */
const PATIENCE = 2000;

export interface Claim {
  session: string;
  work: string;
}

/**
 * Claim the work of a session. A reload goes on with the same; another session, or a copy of the tab, begins another.
 *
 * Without locks (an address that is neither https nor this computer) tabs cannot be told apart, so nothing is kept.
 */
export async function claimWork(session: string): Promise<Claim> {
  if (!navigator.locks) throw new DOMException('this address has no locks', 'NotSupportedError');
  const [former, work] = JSON.parse(recallText(WORK) ?? '[]') as string[];
  if (former === session && work && await holdWork(work)) return { session, work };
  const made = crypto.getRandomValues(new Uint32Array(3)).join('-');
  await holdWork(made);
  rememberText(WORK, JSON.stringify([session, made]));
  return { session, work: made };
}

/** Works that some tab has open. */
export async function listOpenWorks(): Promise<Set<string>> {
  const { held = [] } = await navigator.locks.query();
  return new Set(held.map((lock) => lock.name?.replace(PREFIX, '') ?? ''));
}

/** Hold it until this tab is gone; false where another tab has it. */
function holdWork(work: string): Promise<boolean> {
  return new Promise((done) => {
    const hold = (): Promise<never> => { done(true); return new Promise<never>(() => undefined); };
    navigator.locks.request(PREFIX + work, { signal: AbortSignal.timeout(PATIENCE) }, hold).catch(() => done(false));
  });
}
