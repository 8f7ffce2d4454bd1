// Keeps the work of this tab in the browser once edits have settled.
import type { Album } from '../album/album.ts';
import type { ServerFunctions } from '../gradio.ts';
import { NoStoreError, findPicture, keepEntry, listEntries, openDatabase, removeEntry, removeWork } from './database.ts';
import type { KeptEntry, Picture } from './database.ts';
import { makeRoom, removeOldest } from './room.ts';
import { claimWork } from './tabs.ts';
import type { Claim } from './tabs.ts';

/** Milliseconds without a change, after which it is kept; and those after which a failure is tried again. */
const REST = 1500, RETRY = 10_000;
const FULL_NOTE = 'This browser has no room to keep your work; download the conversation before you leave.';
const NO_STORE_NOTE = 'This browser keeps nothing by itself; download the conversation before you leave.';
const NEWER_NOTE = 'This browser keeps work of a newer version of this page, so it keeps none of this one; reload the page, or download the conversation.';
const CLEARED_NOTE = 'What this browser kept was cleared; what is open here is kept again.';

interface KeepReply {
  error?: string;
  name: string;
  masks: number;
  done: boolean;
  text: string;
  ways: { ways: unknown[] } | null;
  pictures: Picture[];
}

/** What the keeper reads of a saved conversation. */
interface HeldText {
  pictures: Picture[];
  events: { kind: string; video?: { key: string } | null }[];
}

export class Keeper {
  /** Images with changes that are not kept yet. */
  private readonly waiting = new Set<number>();
  private readonly said = new Set<string>();
  /** Images and videos that are too large to be kept. */
  private readonly refused = new Set<number>();
  private timer = 0;
  private line: Promise<unknown> = Promise.resolve();
  private base: Promise<IDBDatabase> | null = null;
  private claim: Promise<Claim> | null = null;

  constructor(
    private readonly server: ServerFunctions, private readonly album: Album,
    private readonly say: (note: string) => void, private readonly onUnsaved: (isUnsaved: boolean) => void,
  ) {
    window.addEventListener('beforeunload', (event) => {
      if (this.waiting.size && !document.querySelector('.gone')) event.preventDefault();
    });
  }

  /** The work of this tab's session. */
  async findWork(): Promise<string> {
    const { session } = this.album;
    const claim = await (this.claim ??= claimWork(session));
    if (claim.session === session) return claim.work;
    this.claim = null;
    return this.findWork();
  }

  openBase(): Promise<IDBDatabase> {
    return this.base ??= openDatabase(() => this.startAnew(), () => { this.base = null; }).catch((problem: unknown) => {
      this.base = null; // the next try opens it anew
      throw problem;
    });
  }

  noteChange(id: number | null, rest = REST): void {
    if (id === null) return;
    this.waiting.add(id);
    this.onUnsaved(true);
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.keepAll(), rest);
  }

  keepAll(): Promise<unknown> {
    return this.line = this.line.then(async () => {
      for (const id of [...this.waiting]) await this.tryKeeping(id);
      this.onUnsaved(this.waiting.size > 0);
    });
  }

  async forget(work: string): Promise<void> {
    await removeWork(await this.openBase(), work);
  }

  /** How many images of this tab's work are kept. */
  async countKept(): Promise<number> {
    return (await listEntries(await this.openBase(), await this.findWork())).length;
  }

  private startAnew(): void {
    this.base = null;
    this.said.delete(CLEARED_NOTE);
    this.sayOnce(CLEARED_NOTE);
    for (const id of this.album.order) this.noteChange(id);
  }

  private async tryKeeping(id: number): Promise<void> {
    this.waiting.delete(id);
    try {
      const base = await this.openBase(), key = `${await this.findWork()} ${id}`;
      const found = this.album.order.includes(id) ? await this.collect(id, base) : null;
      if (!found) return await removeEntry(base, key);
      await this.write(base, { ...found.entry, key }, found.pictures);
      this.said.delete(FULL_NOTE);
      this.sayOnce(await makeRoom(base));
    } catch (problem) {
      this.takeFailure(id, problem);
    }
  }

  /** What is to be kept of an image; null where nothing was done about it, or where it cannot be kept. */
  private async collect(id: number, base: IDBDatabase): Promise<{ entry: Omit<KeptEntry, 'key'>; pictures: Picture[] } | null> {
    const reply = await this.request(id, false);
    if (reply.error) return this.refuse(id, reply.error);
    const held = JSON.parse(reply.text) as HeldText;
    if (held.events.every((event) => event.kind !== 'turn') && (reply.ways?.ways.length ?? 0) < 2) return null;
    const known = await Promise.all(listKeys(held).map((key) => findPicture(base, key)));
    const { pictures, error } = known.every(Boolean) ? reply : await this.request(id, true);
    if (error) return this.refuse(id, error);
    this.refused.delete(id);
    const lengths = new Map([...known, ...pictures].flatMap((one) => one ? [[one.key, JSON.stringify(one).length] as const] : []));
    const { name, masks, done, text, ways } = reply, sizes = [...lengths].map(([key, bytes]) => ({ key, bytes }));
    return { entry: { work: await this.findWork(), name, masks, done, text, ways, pictures: sizes }, pictures };
  }

  /** A full store gives up its oldest work for the newest. */
  private async write(base: IDBDatabase, entry: KeptEntry, pictures: Picture[]): Promise<void> {
    const others = [...this.album.entries.values()].filter((one) => one.state === 'new' || this.refused.has(one.id)).length;
    const classes = this.album.classes.map((one) => one.name), shown = this.album.entries.get(this.album.current ?? 0)?.name;
    const work = { id: entry.work, at: Date.now(), classes, others, ...shown ? { shown } : {} };
    try {
      await keepEntry(base, work, entry, pictures);
    } catch (problem) {
      if (!isFull(problem) || !await removeOldest(base)) throw problem;
      await this.write(base, entry, pictures);
    }
  }

  /** It stays unsaved, so that nobody leaves unasked. */
  private takeFailure(id: number, problem: unknown): void {
    console.warn('Work is not kept:', problem);
    if (problem instanceof DOMException && problem.name === 'NotSupportedError') this.sayOnce(NO_STORE_NOTE);
    else if (problem instanceof NoStoreError) this.sayOnce(problem.isNewer ? NEWER_NOTE : NO_STORE_NOTE);
    else if (isFull(problem)) this.sayOnce(FULL_NOTE);
    else if (problem instanceof DOMException) this.base = null; // it was closed; the next try opens it anew
    this.noteChange(id, RETRY);
  }

  private request(id: number, withImage: boolean): Promise<KeepReply> {
    return this.server.keep!({ session: this.album.session, id, with_image: withImage }) as Promise<KeepReply>;
  }

  private refuse(id: number, note: string): null {
    this.refused.add(id);
    return this.sayOnce(note);
  }

  private sayOnce(note: string): null {
    if (note && !this.said.has(note)) this.say(note);
    if (note) this.said.add(note);
    return null;
  }
}

/** By which keys the store has what a conversation is about: its images, or the file of its video. */
function listKeys({ pictures, events }: HeldText): string[] {
  const films = new Set(events.flatMap(({ video }) => video ? [video.key] : []));
  return films.size ? [...films] : pictures.map(({ key }) => key);
}

const isFull = (problem: unknown): boolean => problem instanceof DOMException && problem.name === 'QuotaExceededError';
