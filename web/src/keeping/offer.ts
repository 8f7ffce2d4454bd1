// Offers back what this browser kept of earlier work: it never opens by itself, and two tabs never share one.
import type { Album } from '../album/album.ts';
import { makeNode } from '../dom.ts';
import type { NamedFile } from '../named_files.ts';
import { findPicture, listEntries } from './database.ts';
import type { KeptEntry, Picture, Work } from './database.ts';
import type { Keeper } from './keeper.ts';
import { listClosedWorks, makeRoom } from './room.ts';

export class WorkOffer {
  constructor(
    private readonly box: HTMLElement, private readonly keeper: Keeper, private readonly album: Album,
    private readonly addFiles: (files: NamedFile[]) => Promise<void>,
  ) {}

  /** Offer the latest work that is open in no tab; older ones follow once it is deleted. */
  async show(): Promise<void> {
    await this.keeper.findWork(); // what a reload goes on with is open
    const base = await this.keeper.openBase();
    await makeRoom(base);
    for (const work of await listClosedWorks(base)) {
      const entries = await listEntries(base, work.id);
      if (!entries.length) continue;
      if (this.album.order.length) break;
      return this.fill(work, entries);
    }
    this.hide();
  }

  hide(): void {
    this.box.hidden = true;
  }

  private fill(work: Work, entries: KeptEntry[]): void {
    const go = makeNode('button', 'go', 'Go on'), drop = makeNode('button', '', 'No, delete it');
    go.type = drop.type = 'button';
    go.addEventListener('click', () => { go.disabled = drop.disabled = true; void this.restore(work, entries).catch(logFailure); });
    drop.addEventListener('click', () => void this.keeper.forget(work.id).then(() => this.show()).catch(logFailure));
    this.box.replaceChildren(makeNode('p', '', describeWork(work, entries)), go, drop);
    this.box.hidden = false;
    window.dispatchEvent(new CustomEvent('sam3-offered', { detail: entries.map((entry) => entry.name) }));
  }

  private async restore(work: Work, entries: KeptEntry[]): Promise<void> {
    await this.addFiles(entries.map((entry) => ({ name: `${entry.name}.json`, file: () => this.buildFile(entry) })));
    const rows = [...this.album.entries.values()];
    if (work.classes.length) await this.album.request({ kind: 'classes', names: work.classes });
    for (const row of rows) {
      if (entries.some((entry) => entry.done && entry.name === row.name)) await this.album.request({ kind: 'done', id: row.id });
      this.keeper.noteChange(row.id);
    }
    const shown = rows.find((row) => row.name === work.shown);
    if (shown && shown.id !== this.album.current) await this.album.request({ kind: 'show', id: shown.id });
    this.hide();
    await this.keeper.keepAll();
    if (await this.keeper.countKept() >= entries.length) await this.keeper.forget(work.id); // else some of it was refused
  }

  private async buildFile(entry: KeptEntry): Promise<File> {
    const base = await this.keeper.openBase();
    const pictures = await Promise.all(entry.pictures.map(({ key }) => findPicture(base, key)));
    const name = entry.name.split('/').at(-1)!;
    return new File([fillFile(entry, pictures)], `${name}.json`);
  }
}

function logFailure(problem: unknown): void {
  console.error('Kept work was not opened or deleted:', problem);
}

function describeWork(work: Work, entries: KeptEntry[]): string {
  const masks = entries.reduce((sum, entry) => sum + entry.masks, 0), at = new Date(work.at);
  const when = at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : at.toLocaleDateString();
  const what = entries.length === 1 ? entries[0]!.name : `${entries.length} images`;
  const rest = work.others ? ` Add the other ${work.others === 1 ? 'file' : `${work.others} files`} again: what is untouched or very large is not kept.` : '';
  return `Go on with ${what}, ${masks} ${masks === 1 ? 'mask' : 'masks'}, from ${when}?${rest}`;
}

function fillFile({ text, ways }: KeptEntry, pictures: (Picture | undefined)[]): string {
  const held = JSON.parse(text) as { pictures: Picture[] };
  const film = pictures.find((one) => one?.film), photo = pictures.find((one) => one?.photo);
  const filled = held.pictures.map((one) => pictures.find((kept) => kept?.png && kept.key === one.key) ?? one);
  return JSON.stringify({ ...held, ...ways ? { ways } : {}, ...film ? { film } : {}, ...photo ? { photo } : {}, pictures: filled });
}
