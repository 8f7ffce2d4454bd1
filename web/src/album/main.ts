// The script of the film strip: Gradio runs it once.
import { findNode, makeNode } from '../dom.ts';
import { guardServer } from '../gradio.ts';
import { nameFiles } from '../named_files.ts';
import { Keeper } from '../keeping/keeper.ts';
import { WorkOffer } from '../keeping/offer.ts';
import type { NamedFile } from '../named_files.ts';
import { joinPart } from '../page_parts.ts';
import { rememberText } from '../tab_store.ts';
import { Album } from './album.ts';
import { Palette } from './palette.ts';
import { Strip } from './strip.ts';
import type { AlbumReply, Measure } from './types.ts';
import { addFiles, tellLostFiles } from './uploads.ts';

const MOST_NOTES = 12;
const EDITABLE = 'textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), select, [contenteditable]';
const root = findNode(element, '.album'), picker = findNode<HTMLInputElement>(root, 'input[type=file]');
const host = { element, props, server: guardServer(server), trigger, watch };
const album = new Album(host), palette = new Palette(root, album), strip = new Strip(root, album);
const askForm = findNode<HTMLFormElement>(root, 'form.askall'), setForm = findNode<HTMLFormElement>(root, 'form.dataset');
const tolerance = findNode<HTMLInputElement>(setForm, '[name=tolerance]');
let notes: string[] = [];

function drawRun(): void {
  const { run, isRunning } = album, told = findNode(askForm, 'output');
  findNode<HTMLButtonElement>(askForm, '[type=submit]').hidden = isRunning;
  findNode<HTMLButtonElement>(askForm, '[data-act=stop]').hidden = !isRunning;
  root.dataset.running = isRunning ? 'yes' : 'no';
  if (!run) return;
  const failed = run.failed ? `, ${run.failed} failed` : '', state = run.ended ? run.stopped ? 'Stopped: ' : 'Done: ' : run.stopped ? 'Stopping: ' : '';
  told.textContent = `${state}${run.answered} of ${run.total} images${failed}`;
}

function showNotes(told: string[]): void {
  notes = told.slice(-MOST_NOTES);
  const list = findNode(root, '.notes');
  list.replaceChildren(...notes.map((note) => makeNode('li', '', note)));
  if (told.length > MOST_NOTES) list.prepend(makeNode('li', '', `${told.length - MOST_NOTES} more sentences are not shown.`));
  findNode(root, '.told').hidden = !told.length;
}

function showMeasure({ masks, points, all_points: all, iou, lowest }: Measure): void {
  findNode(setForm, '.measure').textContent = masks
    ? `${points} points a mask in place of ${all}; IoU ${iou.toFixed(3)}, at least ${lowest.toFixed(3)}, of ${masks} masks`
    : 'There is no mask to measure yet.';
}

function showTolerance(): void {
  const value = Number(tolerance.value);
  findNode(setForm, '.pixels').textContent = value ? `${value} px` : 'lossless';
}

async function takeFiles(files: NamedFile[]): Promise<void> {
  const told: string[] = [], bar = findNode(root, '.progress');
  const collect = album.view!.showNotes;
  album.view = { ...album.view!, showNotes: (more) => { told.push(...more); collect(told); } };
  await addFiles(album, files, (done, total) => { bar.textContent = done < total ? `Adding ${done + 1} of ${total}` : ''; }, (more) => album.view!.showNotes(more));
  album.view = { ...album.view!, showNotes: collect };
}

function toggleForm(form: HTMLFormElement): void {
  const opens = form.hidden;
  askForm.hidden = setForm.hidden = true;
  form.hidden = !opens;
  if (opens) form.querySelector<HTMLElement>('input, select')?.focus();
}

const ACTS: Record<string, () => void> = {
  add: () => { picker.webkitdirectory = false; picker.click(); },
  folder: () => { picker.webkitdirectory = true; picker.click(); picker.webkitdirectory = false; },
  previous: () => strip.step(-1),
  next: () => strip.step(1),
  done: () => strip.toggleDone(),
  ask: () => toggleForm(askForm),
  set: () => { toggleForm(setForm); if (!setForm.hidden) void album.request({ kind: 'measure', tolerance: Number(tolerance.value) }); },
  stop: () => void album.request({ kind: 'stop' }),
  forget: () => showNotes([]),
};

function takeKey(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') || (event.target as Element).closest(EDITABLE)) return false;
  const digit = event.shiftKey ? null : /^Digit(\d)$/.exec(event.code);
  if (digit) palette.takeDigit(Number(digit[1]));
  else if (event.key === 'PageDown' || event.key === ']') strip.step(1);
  else if (event.key === 'PageUp' || event.key === '[') strip.step(-1);
  else if (event.key === 'Enter' && event.shiftKey && !(event.target as Element).closest('[data-example]')) strip.toggleDone();
  else return false;
  return true;
}

album.view = { draw: () => { strip.draw(); palette.draw(); drawRun(); }, showNotes, showMeasure };
root.addEventListener('click', (event) => ACTS[(event.target as Element).closest<HTMLElement>('[data-act]')?.dataset.act ?? '']?.());
picker.addEventListener('change', () => {
  const files = nameFiles(picker.files ?? []);
  picker.value = '';
  void takeFiles(files);
});
askForm.addEventListener('submit', (event) => {
  event.preventDefault();
  trigger('askall', { query: findNode<HTMLInputElement>(askForm, '[name=query]').value });
});
setForm.addEventListener('submit', (event) => {
  event.preventDefault();
  const data = new FormData(setForm);
  trigger('dataset', {
    format: data.get('format'), only_done: data.get('only_done') !== null, validation_share: Number(data.get('share')) / 100,
  });
});
tolerance.addEventListener('input', showTolerance);
tolerance.addEventListener('change', () => {
  const value = Number(tolerance.value);
  void album.request({ kind: 'options', by_class: album.byClass, tolerance: value });
  void album.request({ kind: 'measure', tolerance: value });
});
document.addEventListener('keydown', (event) => {
  if (!takeKey(event)) return;
  event.preventDefault();
  event.stopPropagation();
}, { capture: true });
window.addEventListener('sam3-models', (event) => { album.sam3 = (event as CustomEvent<{ sam3: string }>).detail.sam3; });
window.addEventListener('sam3-files', (event) => void takeFiles((event as CustomEvent<NamedFile[]>).detail));
window.addEventListener('sam3-view', (event) => { palette.chosen = (event as CustomEvent<{ active: number | null }>).detail.active; });
let seen = '';
window.addEventListener('sam3-state', (event) => {
  const { key, revision, busy } = (event as CustomEvent<{ key: string; revision: string; busy: boolean }>).detail;
  if (!busy && seen !== `${key} ${revision}`) {
    if (seen) keeper.noteChange(album.current); // the first is what a reload found
    seen = `${key} ${revision}`;
    void album.look();
  }
});
const keeper = new Keeper(
  host.server, album, (note) => showNotes([...notes, note]), (isUnsaved) => { root.dataset.unsaved = isUnsaved ? 'yes' : 'no'; },
);
window.addEventListener('sam3-said', () => keeper.noteChange(album.current));
const offer = new WorkOffer(findNode(root, '.kept'), keeper, album, takeFiles);
let isOffered = false, session = '';

/** Who clears what a site has stored does not lose the work that is open. */
function holdSession(): void {
  if (session && !album.session) rememberText('sam3-agent', session);
}
for (const kind of ['focus', 'pointerdown', 'keydown']) window.addEventListener(kind, holdSession, { capture: true });

/** Once per page, when the session is known and whether its strip has images. */
async function showOffer(): Promise<void> {
  const isFirst = !album.token;
  await album.look();
  if (isFirst) showNotes([]); // only a session of an earlier server was refused, and its reply has come by now
  if (isOffered) return;
  isOffered = true;
  const lost = tellLostFiles();
  if (lost) showNotes([lost]);
  await offer.show();
  root.dataset.unsaved ??= 'no';
}

album.onRows = (rows, gone) => {
  if (album.order.length) offer.hide();
  for (const { id, state } of rows) if (state !== undefined && state !== 'new') keeper.noteChange(id);
  for (const id of gone) keeper.noteChange(id);
};
joinPart('strip', {
  describe: () => album.token,
  take: (news, { key, revision }) => {
    seen = `${key} ${revision}`; // nothing is left to ask
    album.take(news as AlbumReply, false);
    keeper.noteChange(album.current);
  },
});
watch('value', () => void album.look());
window.addEventListener('sam3-question', () => { // the session has just been stored
  session = album.session;
  void showOffer().catch((problem: unknown) => console.warn('Kept work is not offered:', problem)); // a browser may have no store
});
