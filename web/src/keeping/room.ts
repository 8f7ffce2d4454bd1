// How much a browser keeps: a number of works for some days, and so many bytes; the oldest go first.
import { listAllEntries, listWorks, removeWork } from './database.ts';
import type { KeptEntry, Work } from './database.ts';
import { listOpenWorks } from './tabs.ts';

const MOST_BYTES = 256 * 2 ** 20, MOST_WORKS = 5, LONGEST = 30 * 24 * 3600e3;
const LIMIT_NOTE = 'This browser keeps 256 MiB at most, so it let go of its oldest work.';
const OVERFLOW_NOTE = 'Your work is more than the 256 MiB that this browser keeps; download the conversation before you leave.';

/** Remove what is too old or too many, and then the oldest until all fits. Returns a sentence where bytes were the reason. */
export async function makeRoom(base: IDBDatabase): Promise<string> {
  const [closed, all] = await Promise.all([listClosedWorks(base), listAllEntries(base)]);
  const kept = closed.filter((one, place) => place < MOST_WORKS && Date.now() - one.at < LONGEST);
  for (const one of closed.filter((work) => !kept.includes(work))) await removeWork(base, one.id);
  let rest = all.filter((entry) => !closed.some((work) => work.id === entry.work) || kept.some((work) => work.id === entry.work)), note = '';
  while (countBytes(rest) > MOST_BYTES) {
    const oldest = kept.pop();
    if (!oldest) return OVERFLOW_NOTE;
    await removeWork(base, oldest.id);
    rest = rest.filter((entry) => entry.work !== oldest.id);
    note = LIMIT_NOTE;
  }
  return note;
}

/** Remove the oldest work that is open in no tab; false where there is none. */
export async function removeOldest(base: IDBDatabase): Promise<boolean> {
  const oldest = (await listClosedWorks(base)).at(-1);
  if (oldest) await removeWork(base, oldest.id);
  return oldest !== undefined;
}

/** Works that are open in no tab, the latest first. */
export async function listClosedWorks(base: IDBDatabase): Promise<Work[]> {
  const open = await listOpenWorks(), works = await listWorks(base);
  return works.filter((one) => !open.has(one.id)).sort((a, b) => b.at - a.at);
}

function countBytes(entries: KeptEntry[]): number {
  const pictures = new Map(entries.flatMap((entry) => entry.pictures.map(({ key, bytes }) => [key, bytes])));
  return entries.reduce((sum, entry) => sum + entry.text.length, 0) + [...pictures.values()].reduce((sum, bytes) => sum + bytes, 0);
}
