// Items that come next: always some more than are shown, with their images.
import { getPageId, postJson } from './server.ts';
import type { Item, Task } from './types.ts';

/** Groups that are held, and how few of them make the page ask for more: one request for several. */
const AHEAD = { one: 14, grid: 2 };
const ENOUGH = { one: 10, grid: 1 };
const BEAT = 30_000;
const AGAIN = 2000;
const SOON = 500;
const MAX_HELD = 200;

interface Taken {
  items: Item[];
  elsewhere: number;
}

export class Supply {
  readonly page = getPageId();
  private groups: Item[][] = [];
  private taking: Promise<void> | null = null;
  private timer = 0;
  task: Task = 'mv';
  /** Pairs that were corrected here, by the item: nobody is asked about single masks of them any more. */
  private readonly corrected = new Map<number, string>();
  /** Whether the server said that there is nothing more; until then, more is being fetched. */
  isEmpty = false;
  /** Items that other pages hold: they come here where these fall silent. */
  elsewhere = 0;

  /**
   * `prepare` fetches the images of a group; `onArrival` hears that there is something to show; `listAnswered` are items
   * whose answers are on their way, which the server would give again.
   */
  constructor(
    private readonly prepare: (group: Item[]) => void,
    private readonly onArrival: () => void,
    private readonly onError: (error: unknown) => void,
    private readonly listAnswered: () => number[],
  ) {
    setInterval(() => void this.beat(), BEAT);
    addEventListener('pagehide', () => this.release());
  }

  /** Begin with a task; what was held for another one goes back. */
  async start(task: Task): Promise<void> {
    if (this.groups.length) await postJson('/api/release', { page: this.page }).catch(() => {});
    this.groups = [];
    this.task = task;
    this.isEmpty = false;
    await this.fill();
  }

  get current(): Item[] | null {
    return this.groups[0] ?? null;
  }

  /** Drop what is shown, for it is answered. */
  advance(): void {
    this.groups.shift();
    void this.fill();
  }

  /** A pair was corrected: drop what is held of its single masks. Before `advance`. */
  finishPair([first]: Item[]): void {
    if (!first) return;
    this.corrected.set(first.id, namePair(first));
    const [shown, ...others] = this.groups;
    this.groups = [shown ?? [], ...this.dropFinished(others)];
  }

  /** The correction of an item does not count: it was taken back, or refused. */
  reopenPair(item: number): void {
    this.corrected.delete(item);
  }

  private dropFinished(groups: Item[][]): Item[][] {
    const corrected = new Set(this.corrected.values());
    const isOpen = (item: Item): boolean => item.stage !== 'mv' || !corrected.has(namePair(item));
    return groups.map((group) => group.filter(isOpen)).filter((group) => group.length);
  }

  /** Show these items (again) before all others. */
  putFirst(items: Item[]): void {
    const ids = new Set(items.map((item) => item.id));
    for (const item of items) this.reopenPair(item.id);
    this.groups = this.groups.map((group) => group.filter((item) => !ids.has(item.id))).filter((group) => group.length);
    this.groups.unshift(...(this.task === 'grid' ? [items] : items.map((item) => [item])));
    this.groups.slice(0, AHEAD.one).forEach(this.prepare);
    this.onArrival();
  }

  async fill(): Promise<void> {
    this.taking ??= this.take().finally(() => { this.taking = null; });
    await this.taking;
  }

  private async take(): Promise<void> {
    clearTimeout(this.timer);
    const task = this.task, kind = task === 'grid' ? 'grid' : 'one';
    if (this.groups.length > ENOUGH[kind]) return;
    const held = [...this.groups.flat().map((item) => item.id), ...this.listAnswered()].slice(0, MAX_HELD);
    const wanted = AHEAD[kind] - this.groups.length;
    const asked = { stage: task === 'grid' ? 'mv' : task, page: this.page, held, count: wanted, grid: task === 'grid' };
    try {
      const { items, elsewhere } = await postJson<Taken>('/api/take', asked);
      if (task !== this.task) return void setTimeout(() => void this.fill());
      this.elsewhere = elsewhere;
      const answered = new Set(this.listAnswered()), fresh = items.filter((item) => !answered.has(item.id));
      const groups = this.dropFinished(task === 'grid' ? [fresh] : fresh.map((item) => [item]));
      if (fresh.length && !groups.length) this.timer = setTimeout(() => void this.fill(), SOON); // the correction is on its way
      else this.add(groups);
    } catch (error) {
      this.onError(error);
      this.timer = setTimeout(() => void this.fill(), AGAIN);
    }
  }

  private add(groups: Item[][]): void {
    const wasEmpty = this.groups.length === 0;
    groups.forEach(this.prepare);
    this.groups.push(...groups);
    this.isEmpty = this.groups.length === 0;
    if (wasEmpty) this.onArrival();
    if (!groups.length && !this.isEmpty) return; // what is held is all there is
    if (this.isEmpty) this.timer = setTimeout(() => void this.fill(), AGAIN * 5);
    else setTimeout(() => void this.fill());
  }

  private async beat(): Promise<void> {
    const items = this.groups.flat().map((item) => item.id);
    if (!items.length) return;
    const kept = await postJson<{ items: number[] }>('/api/beat', { page: this.page, items }).catch(() => null);
    if (!kept) return;
    const still = new Set(kept.items), [shown, ...others] = this.groups;
    // what is shown stays: a late answer is kept as a further opinion
    this.groups = [shown ?? [], ...others.map((group) => group.filter((item) => still.has(item.id)))].filter((group) => group.length);
    void this.fill();
  }

  private release(): void {
    void postJson('/api/release', { page: this.page }, true).catch(() => {});
  }
}

function namePair({ image, phrase }: Item): string {
  return `${image.key} ${phrase}`;
}
