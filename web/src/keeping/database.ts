// The browser's own store of work: one record per work and per image, and the file of each image once.

/** Another number is another form of the records: what an older page kept is then dropped, not misread. */
const VERSION = 2;
const NAME = 'sam3-agent', WORKS = 'works', ENTRIES = 'entries', PICTURES = 'pictures', ALL = [WORKS, ENTRIES, PICTURES];

export interface Work {
  id: string;
  /** Milliseconds since 1970. */
  at: number;
  classes: string[];
  /** Places of the strip that were not kept: those too large, and those about which nothing was done; pages before this wrote none. */
  others?: number;
  /** The name of the image that was shown. */
  shown?: string;
}

export interface KeptEntry {
  /** Of the work and of the image in it. */
  key: string;
  work: string;
  name: string;
  masks: number;
  done: boolean;
  /** The saved conversation without pixels. */
  text: string;
  /** Its other ways, as the server describes them; pages before they were kept wrote none. */
  ways?: unknown;
  pictures: PictureSize[];
}

export interface PictureSize {
  key: string;
  /** Of the picture as it is kept. */
  bytes: number;
}

/** The file of a video in `film`, that of an image in `photo`, or an image as a saved conversation has it, with its pixels in `png`. */
export interface Picture {
  key: string;
  [field: string]: unknown;
}

/** The browser opens no store for this page; `isNewer`: a later version of the page has kept work here. */
export class NoStoreError extends Error {
  constructor(problem: unknown, readonly isNewer = problem instanceof DOMException && problem.name === 'VersionError') {
    super(`the browser's store was not opened: ${String(problem)}`);
  }
}

/** Open the store; `onCleared` is called when somebody clears it under our hands, `onReplaced` when it was closed for another version of the page. */
export async function openDatabase(onCleared: () => void, onReplaced: () => void): Promise<IDBDatabase> {
  try {
    return await openStores(onCleared, onReplaced);
  } catch (problem) {
    throw new NoStoreError(problem);
  }
}

async function openStores(onCleared: () => void, onReplaced: () => void): Promise<IDBDatabase> {
  const asked = indexedDB.open(NAME, VERSION);
  asked.onupgradeneeded = () => {
    const base = asked.result;
    for (const name of [...base.objectStoreNames]) base.deleteObjectStore(name);
    base.createObjectStore(WORKS, { keyPath: 'id' });
    base.createObjectStore(ENTRIES, { keyPath: 'key' }).createIndex('work', 'work');
    base.createObjectStore(PICTURES, { keyPath: 'key' });
  };
  const base = await settle(asked);
  base.onversionchange = () => { base.close(); onReplaced(); }; // another version of the page is open
  base.onclose = onCleared;
  return base;
}

export const listWorks = (base: IDBDatabase): Promise<Work[]> => settle(base.transaction(WORKS).objectStore(WORKS).getAll() as IDBRequest<Work[]>);

/** The images of a work in the order of the strip: the store sorts their keys as text, "10" before "2". */
export async function listEntries(base: IDBDatabase, work: string): Promise<KeptEntry[]> {
  const found = await settle(base.transaction(ENTRIES).objectStore(ENTRIES).index('work').getAll(work) as IDBRequest<KeptEntry[]>);
  return found.sort((a, b) => getNumber(a) - getNumber(b));
}

const getNumber = ({ key }: KeptEntry): number => Number(key.split(' ').at(-1));

export const listAllEntries = (base: IDBDatabase): Promise<KeptEntry[]> =>
  settle(base.transaction(ENTRIES).objectStore(ENTRIES).getAll() as IDBRequest<KeptEntry[]>);

export const findPicture = (base: IDBDatabase, key: string): Promise<Picture | undefined> =>
  settle(base.transaction(PICTURES).objectStore(PICTURES).get(key) as IDBRequest<Picture | undefined>);

/** All of it or nothing. */
export function keepEntry(base: IDBDatabase, work: Work, entry: KeptEntry, pictures: Picture[]): Promise<void> {
  const change = base.transaction(ALL, 'readwrite');
  for (const picture of pictures) change.objectStore(PICTURES).put(picture);
  change.objectStore(ENTRIES).put(entry);
  change.objectStore(WORKS).put(work);
  return finish(change);
}

/** Remove a work with all its images. */
export async function removeWork(base: IDBDatabase, id: string): Promise<void> {
  const change = base.transaction(ALL, 'readwrite');
  change.objectStore(WORKS).delete(id);
  await removeEntries(change, (entry) => entry.work === id);
  return finish(change);
}

/** Remove one image from its work. */
export async function removeEntry(base: IDBDatabase, key: string): Promise<void> {
  const change = base.transaction(ALL, 'readwrite');
  await removeEntries(change, (entry) => entry.key === key);
  return finish(change);
}

/** Remove these, and the pictures that no other has. */
async function removeEntries(change: IDBTransaction, isRemoved: (entry: KeptEntry) => boolean): Promise<void> {
  const store = change.objectStore(ENTRIES), all = await settle(store.getAll() as IDBRequest<KeptEntry[]>);
  const others = new Set(all.filter((one) => !isRemoved(one)).flatMap((one) => one.pictures.map(({ key }) => key)));
  for (const one of all.filter(isRemoved)) {
    store.delete(one.key);
    for (const { key } of one.pictures) if (!others.has(key)) change.objectStore(PICTURES).delete(key);
  }
}

function settle<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((done, fail) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error);
  });
}

function finish(change: IDBTransaction): Promise<void> {
  return new Promise((done, fail) => {
    change.oncomplete = () => done();
    change.onabort = change.onerror = () => fail(change.error ?? new DOMException('the store was closed', 'AbortError'));
  });
}
