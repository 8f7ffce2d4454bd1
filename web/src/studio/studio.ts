// The studio: an image with its masks, what a click does to them, and what is sent for it.
import { MarkLayer } from '../canvas/marks.ts';
import { OutlineLayer } from '../canvas/outlines.ts';
import { TileLayer } from '../canvas/tiles.ts';
import type { Tile } from '../canvas/tiles.ts';
import { Viewport } from '../canvas/viewport.ts';
import { Zoom } from '../canvas/zoom.ts';
import { getActiveClass } from '../active_class.ts';
import { findNode } from '../dom.ts';
import type { Host } from '../gradio.ts';
import { BoxQuestion } from './tools/boxes.ts';
import { DrawingTools } from './tools/drawing.ts';
import { EditQueue } from './edits/queue.ts';
import { FilmPlayer } from './film.ts';
import { LocalEdits } from './edits/local.ts';
import { Preview } from './tools/preview.ts';
import { StudioState } from './state.ts';
import { applyChange, EMPTY_VALUE } from './types.ts';
import type { Box, Change, Edit, EditReply, Mending, Point, StudioValue, Subject } from './types.ts';
import { ServerWatcher } from './watching.ts';

export type Mode = 'smart' | 'select' | 'add' | 'remove' | 'box' | 'brush' | 'eraser' | 'polygon' | 'hand';

const HINTS: Record<Mode, string> = {
  smart: 'Click an object; click in it again to correct it. The right button or Alt takes away. Draw a box for one like it, or for all.',
  select: 'Click a mask to choose it. Delete takes it out of the answer.',
  add: 'Click each object. A click into the chosen mask corrects it; Shift adds to it from outside, Alt or the right button takes away.',
  remove: 'Click the part that a mask should not cover.',
  box: 'Click two opposite corners around one object: everything that looks like it is added.',
  brush: 'Paint what belongs to the chosen mask, or a new object. Comma and full stop change the brush.',
  eraser: 'Wipe away what does not belong to the chosen mask.',
  polygon: 'Click the corners; a double click, Enter or a click at the first one closes it. Alt takes it away. At the cross, Enter adds a corner and closes at the last one.',
  hand: 'Drag the image; the wheel or two fingers zoom.',
};
/** Tools whose click may find or correct an object. */
const CLICKING: Mode[] = ['smart', 'add'];
/** Tools that make or change one object. */
const EDITING: Mode[] = [...CLICKING, 'brush', 'eraser', 'polygon'];
/** Edits that may make a mask, which gets the active class. */
const MAKING = new Set<Edit['kind']>(['point', 'box', 'stroke', 'polygon']);
/** Screen pixels of an image pixel from which on the pixels are shown as squares. */
const MAGNIFIED = 4;
const EMPTY_DATA = { points: [], active: null, threshold: 0 };
/** Pixels of the long side of the image that Python sends, as in demo/studio/rows.py. */
const IMAGE_SIDE = 1600;
/** Pixels of an edge: a box that is smaller is a double click. */
const SMALLEST_BOX = 3;

export class Studio {
  readonly state = new StudioState();
  readonly stage: HTMLElement;
  readonly frame: HTMLElement;
  readonly viewport: Viewport;
  readonly outlines: OutlineLayer;
  readonly marks: MarkLayer;
  readonly film: FilmPlayer;
  readonly zoom: Zoom;
  readonly tiles: TileLayer;
  readonly question: BoxQuestion;
  readonly preview: Preview;
  readonly drawing: DrawingTools;
  private readonly photo: HTMLImageElement;
  private readonly threshold: HTMLInputElement;
  private readonly edits: EditQueue | LocalEdits;
  private readonly watcher: ServerWatcher | null;
  /** The image of a studio without a conversation. */
  private fetched: Subject | null = null;
  private tool = '';

  constructor(readonly host: Host) {
    const { element, server } = host;
    this.stage = findNode(element, '.stage');
    this.frame = findNode(element, '.frame');
    this.photo = findNode(element, '.photo');
    this.threshold = findNode(element, '.threshold input');
    this.viewport = new Viewport(this.frame);
    this.zoom = new Zoom(this.viewport, findNode(element, '.well'), () => this.drawZoom());
    this.tiles = new TileLayer(this.viewport, this.zoom, findNode(element, '.tiles'), IMAGE_SIDE, (tile) => this.loadTile(tile));
    this.outlines = new OutlineLayer(this.viewport, findNode(element, 'svg.masks'), findNode(element, 'svg.marks .plates'));
    this.marks = new MarkLayer(this.viewport, findNode(element, 'svg.marks .points'));
    this.film = new FilmPlayer(element, this.state, () => this.draw());
    this.question = new BoxQuestion(this);
    this.preview = new Preview(this);
    this.drawing = new DrawingTools(this);
    this.edits = this.isLocal ? new LocalEdits(this) : new EditQueue(server, this);
    this.watcher = this.isLocal ? null : new ServerWatcher(element);
    this.stage.dataset.local = this.isLocal ? 'yes' : 'no';
  }

  /** Whether the masks belong to no conversation: they are the component's value. */
  get isLocal(): boolean {
    return !this.host.server.apply_edits;
  }

  get mode(): Mode {
    return findNode<HTMLInputElement>(this.stage, 'input[name=mode]:checked').value as Mode;
  }

  // what Python sends

  update(): void {
    const { props } = this.host, subject = this.isLocal ? this.fetched : props.image as Subject | null;
    const value = { ...EMPTY_VALUE, ...props.value as Partial<StudioValue> };
    this.state.value = value;
    this.state.confirmed = value.masks;
    this.showWaiting();
    if (this.edits.isEmpty) this.state.adoptActive();
    const has = Boolean(value.key && subject?.key === value.key);
    this.stage.dataset.state = has ? 'image' : 'empty';
    for (const button of this.stage.querySelectorAll<HTMLButtonElement>('.start button')) button.disabled = !value.serial; // until the session has begun
    if (has) this.watcher?.noteWork(value.name);
    if (has && subject && this.photo.dataset.key !== value.key) this.showSubject(subject);
    this.stage.dataset.medium = has && value.film ? 'video' : 'image';
    this.viewport.setImageSize(value.width, value.height);
    for (const layer of this.frame.querySelectorAll(':scope > svg'))
      layer.setAttribute('viewBox', `0 0 ${Math.max(1, value.width)} ${Math.max(1, value.height)}`);
    this.showThreshold();
    this.describe(has);
    this.draw();
    if (this.isLocal) void this.updateLocal(value);
  }

  // a studio without a conversation

  /** Fetch the image where another one is to be shown, and take the tool that Python chose. */
  private async updateLocal(value: StudioValue): Promise<void> {
    if (value.tool && value.tool !== this.tool) this.setMode((this.tool = value.tool) as Mode);
    if (!value.key || this.fetched?.key === value.key) return;
    this.fetched = { key: value.key };
    const url = await this.host.server.draw_image!({ key: value.key }) as string;
    if (this.fetched.key !== value.key) return;
    this.fetched = { key: value.key, url };
    this.photo.dataset.key = '';
    this.update();
  }

  getValue(): StudioValue {
    return { ...this.state.value, masks: this.state.confirmed };
  }

  /** Show a value, and let Python read it. */
  showValue(value: StudioValue): void {
    this.state.value = value;
    this.state.confirmed = value.masks;
    this.state.object = { token: this.state.object.token, active: value.active, fresh: this.state.object.fresh && value.active === null };
    const well = this.zoom.well.getBoundingClientRect(), at = (x: number, y: number) => this.viewport.toPixel({ clientX: x, clientY: y });
    const view = { scale: this.zoom.scale, box: [...at(well.left, well.top), ...at(well.right, well.bottom)] as Box };
    this.tool = this.mode;
    this.host.props.value = { ...value, tool: this.mode, view };
    this.draw();
  }

  /** Show what changed on the server since the rows that are shown. */
  applyChange(change: Change): void {
    if (change.moved) return this.host.trigger('moved');
    const { state } = this, film = state.value.film;
    state.confirmed = applyChange(state.confirmed, change);
    state.value = { ...state.value, ...EMPTY_DATA, ...change.state, film };
    this.showWaiting();
    this.showThreshold();
    this.describe(true);
    this.draw();
  }

  private showSubject(subject: Subject): void {
    this.photo.dataset.key = subject.key;
    this.state.hidden.clear();
    this.state.locked.clear();
    this.drawing.cancel();
    if (subject.url) this.photo.src = subject.url;
    else this.photo.removeAttribute('src');
    this.film.show(subject);
    this.tiles.clear();
    this.zoom.fit();
    this.state.cross = this.state.corner = null;
  }

  private async loadTile(tile: Tile): Promise<string> {
    const { key, film } = this.state.value, { draw_tile: draw } = this.host.server;
    return draw && !film ? await draw({ ...tile, key, session: this.getContext().session }) as string : '';
  }

  private describe(has: boolean): void {
    const { name, width, height } = this.state.value, shown = this.state.listShown();
    const names = [...new Set(shown.map((mask) => mask.phrase))].join(', ');
    this.photo.alt = has ? `${name || 'Your image'}, ${width} by ${height} pixels` : '';
    this.frame.setAttribute('aria-label', `${this.photo.alt}; ${shown.length} masks${names ? `: ${names}` : ''}`);
  }

  private showThreshold(): void {
    if (document.activeElement === this.threshold) return;
    this.threshold.value = String(this.state.value.threshold || 0);
    this.state.threshold = Number(this.threshold.value);
  }

  // what is drawn

  private drawZoom(): void {
    if (!this.viewport.width) return;
    const percent = this.zoom.scale * 100;
    findNode(this.stage, '.percent').textContent = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
    findNode<HTMLButtonElement>(this.stage, '[data-do=fit]').disabled = this.zoom.isFit;
    this.zoom.well.dataset.magnified = this.zoom.scale >= MAGNIFIED ? 'yes' : 'no';
    this.outlines.updateScale(this.state.listShown());
    this.drawMarks();
    this.tiles.update();
  }

  private drawMarks(): void {
    this.marks.draw(this.state.value.points, this.state.cross);
  }

  draw(): void {
    const { state } = this, { value } = state, shown = state.listShown();
    state.threshold = Number(this.threshold.value);
    this.outlines.draw(shown, value.active);
    if (this.edits.isEmpty) this.drawing.clear();
    this.drawMarks();
    this.drawButtons();
    this.drawHint();
    this.frame.style.setProperty('--wipe', state.compared ? `${findNode<HTMLInputElement>(this.stage, '.compare input').value}%` : '0%');
    Object.assign(this.stage.dataset, {
      compare: state.compared ? 'yes' : 'no',
      mode: this.mode,
      masks: String(shown.length),
      tracks: String(value.film ? state.listChosen().length : 0),
      frame: String(state.moment),
      busy: value.busy || !this.edits.isEmpty ? 'yes' : 'no',
    });
    this.film.draw();
    tellPage('sam3-view', { active: value.active, threshold: state.threshold });
    tellPage('sam3-state', { masks: value.masks, busy: value.busy, key: value.key, revision: value.revision });
  }

  private drawButtons(): void {
    const { value, object, extends: pressed } = this.state, adds = EDITING.includes(this.mode);
    const find = (act: string) => findNode<HTMLButtonElement>(this.stage, `[data-do=${act}]`);
    for (const act of ['fresh', 'extend']) find(act).hidden = !adds;
    this.drawObject();
    find('fresh').disabled = value.active === null && !object.fresh;
    find('extend').disabled = value.active === null;
    find('extend').setAttribute('aria-pressed', String(pressed));
    find('compare').setAttribute('aria-pressed', String(this.state.compared));
    find('undo').disabled = !value.canUndo || value.busy;
    find('redo').disabled = !value.canRedo || value.busy;
    find('drop').disabled = !this.state.findMask(value.active)?.selected || value.busy;
  }

  /** Whether the right button, Alt or a long press takes away. */
  get takesAway(): boolean {
    return CLICKING.includes(this.mode);
  }

  /** Whether a click would find or correct an object now. */
  get canPreview(): boolean {
    return CLICKING.includes(this.mode) && !this.state.value.busy && !this.state.value.film && this.edits.isEmpty;
  }

  /** The bar of the chosen object. */
  private drawObject(): void {
    const bar = findNode(this.stage, '.object'), mask = this.state.findMask(this.state.value.active);
    bar.hidden = !mask && !this.state.object.fresh && !this.drawing.isBrush;
    const chip = findNode(bar, '.chip');
    chip.hidden = !mask;
    chip.textContent = mask ? String(mask.id) : '';
    chip.style.background = mask?.color ?? '';
    chip.style.color = mask?.ink ?? '';
    for (const one of bar.querySelectorAll<HTMLElement>('.of-mask')) one.hidden = !mask;
    const find = (act: string) => findNode<HTMLButtonElement>(bar, `[data-do=${act}]`);
    find('merge').setAttribute('aria-pressed', String(this.state.merging));
    find('lock').setAttribute('aria-pressed', String(mask !== undefined && this.state.locked.has(mask.id)));
    const hidden = findNode<HTMLButtonElement>(this.stage, '[data-do=reveal]'), count = this.state.hidden.size;
    hidden.hidden = count === 0;
    hidden.textContent = `Show ${count} hidden`;
    findNode(bar, '.name').textContent = mask ? mask.phrase : 'New object';
  }

  private drawHint(): void {
    const { value, note, corner } = this.state, hint = findNode(this.stage, '.hint');
    const own = corner ? 'Now the opposite corner.' : this.state.merging ? 'Click the mask that belongs to it.' : HINTS[this.mode];
    hint.textContent = value.busy ? value.progress : note || own;
    hint.classList.toggle('refused', Boolean(note) && !value.busy);
    findNode(this.stage, '.threshold output').textContent = this.state.threshold.toFixed(2);
  }

  showTip(at: Point): void {
    const tip = findNode(this.stage, '.tip'), over = this.state.findMask(this.outlines.findIdAt(at));
    tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
    this.viewport.placeNode(tip, at);
    this.highlight(over?.id ?? null);
  }

  hideTip(): void {
    findNode(this.stage, '.tip').textContent = '';
    this.highlight(null);
  }

  private highlight(id: number | null): void {
    this.outlines.highlight(id);
    tellPage('sam3-lit', id);
  }

  // what the visitor does

  setMode(mode: Mode): void {
    findNode<HTMLInputElement>(this.stage, `input[name=mode][value=${mode}]`).checked = true;
    this.state.corner = null;
    this.drawing.cancel();
    this.preview.follow(null);
    this.draw();
  }

  chooseMask(id: number | null): void {
    this.state.chooseMask(id);
    if (this.isLocal) {
      this.showValue(this.getValue());
      this.host.trigger('select', { id });
    }
    this.draw();
  }

  beginObject(): void {
    this.state.beginObject();
    this.draw();
  }

  handleClick(at: Point, { minus = false, extend = false } = {}): void {
    const { state } = this;
    if (state.value.busy) return;
    if (state.merging) return this.mergeWith(this.outlines.findIdAt(at));
    switch (this.mode) {
      case 'brush': case 'eraser': return this.drawAt(at);
      case 'polygon': return this.drawing.addCorner(at, minus);
      case 'hand': return;
      case 'smart': return this.clickSmart(at, minus, extend || state.extends);
      case 'select': return this.chooseMask(this.outlines.findIdAt(at));
      case 'add': return this.sendPoint(at, !minus, extend || state.extends);
      case 'remove': return this.sendPoint(at, false, false);
      case 'box':
        if (state.corner) return this.sendBox(state.corner, at);
        state.corner = at;
        this.drawHint();
        this.marks.drawBand(at, at);
    }
  }

  /** The first click on a mask chooses it; further ones correct it. Elsewhere a click finds an object. */
  private clickSmart(at: Point, minus: boolean, extend: boolean): void {
    const { active } = this.state.value, over = this.outlines.findIdAt(at);
    if (over !== null && over !== active && !minus && !extend && !this.state.object.fresh) return this.chooseMask(over);
    this.sendPoint(at, !minus, extend);
  }

  /** A dot of the brush, for whoever has no pointer. */
  private drawAt(at: Point): void {
    if (this.refuseLocked(this.state.object.active)) return;
    this.drawing.beginStroke(at);
    this.drawing.endStroke();
  }

  mergeWith(id: number | null): void {
    const { state } = this, { active } = state.value;
    state.merging = false;
    if (id !== null && active !== null && id !== active) this.mend('merge', [active, id]);
    else this.draw();
  }

  /** Mend masks; the chosen one where none are given. */
  mend(how: Mending, ids?: number[]): void {
    const { active, busy } = this.state.value, chosen = ids ?? (active === null ? [] : [active]);
    if (busy || !chosen.length || chosen.some((id) => this.refuseLocked(id))) return;
    this.sendEdit({ kind: 'mend', how, ids: chosen });
    this.draw();
  }

  toggleHidden(id: number | null): void {
    if (id === null) this.state.hidden.clear();
    else toggleMember(this.state.hidden, id);
    if (id !== null && this.state.hidden.has(id)) this.state.chooseMask(null);
    this.draw();
  }

  toggleLocked(id: number): void {
    toggleMember(this.state.locked, id);
    this.state.note = '';
    this.draw();
  }

  refuseLocked(id: number | null): boolean {
    const refused = this.state.refuseLocked(id);
    if (refused) this.draw();
    return refused;
  }

  sendPoint([x, y]: Point, positive: boolean, extend: boolean): void {
    if (this.refuseLocked(this.outlines.findIdAt([x, y])) || (extend && this.refuseLocked(this.state.object.active))) return;
    const { object, frame } = this.state;
    this.marks.drawPoint([x, y, positive]);
    this.sendEdit({ kind: 'point', x, y, positive, extend, object: object.token, active: object.active, new: object.fresh, frame });
  }

  sendBox(from: Point, to: Point): void {
    const box = spanBox(from, to);
    this.state.corner = null;
    if (box) this.sendEdit({ kind: 'box', box, meaning: 'alike', frame: this.state.frame });
    this.draw();
  }

  /** Ask what the box means that was drawn. */
  askBox(from: Point, to: Point): void {
    const box = spanBox(from, to);
    if (!box) return this.draw();
    this.marks.drawBand(from, to);
    this.question.ask(box);
  }

  sendKept(ids: number[]): void {
    this.sendEdit({ kind: 'keep', ids });
    this.draw();
  }

  dropActive(): void {
    const { active, busy, masks } = this.state.value;
    if (active === null || busy || this.refuseLocked(active)) return;
    this.sendKept(masks.filter((mask) => mask.selected && mask.id !== active).map((mask) => mask.id));
  }

  sendEdit(edit: Edit): void {
    this.state.note = '';
    const label = getActiveClass();
    this.edits.send(label && MAKING.has(edit.kind) ? { ...edit, label } as Edit : edit);
  }

  // what the queue of edits says

  getContext() {
    const session = sessionStorage.getItem('sam3-agent') ?? '';
    return { session, sam3: String(this.host.props.sam3 ?? ''), revision: this.state.value.revision };
  }

  applyReply(reply: EditReply, last: Edit): void {
    const { state } = this, active = state.value.active;
    state.note = reply.notes.at(-1) ?? '';
    this.applyChange(reply);
    if (reply.moved) return;
    if ('object' in last && last.object !== state.object.token) state.value.active = active; // another mask was chosen meanwhile
    else state.adoptActive();
    this.draw();
  }

  refuse(note: string): void {
    this.state.note = note;
    this.draw();
  }

  notice(): void {
    this.showWaiting();
    this.stage.dataset.busy = this.state.value.busy || !this.edits.isEmpty ? 'yes' : 'no';
    if (this.edits.isEmpty) this.draw();
  }

  settle(): void {
    tellPage('sam3-settled', null);
  }

  /** What is ticked is shown at once; the server confirms it. */
  private showWaiting(): void {
    const { state } = this, ids = this.edits.keptIds;
    state.value.masks = ids ? state.confirmed.map((row) => ({ ...row, selected: ids.includes(row.id) })) : state.confirmed;
  }
}

/** The box between two pixels; null for what is too small to be meant. */
function spanBox(from: Point, to: Point): Box | null {
  const box: Box = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
  return box[2] - box[0] < SMALLEST_BOX || box[3] - box[1] < SMALLEST_BOX ? null : box;
}

function toggleMember(members: Set<number>, id: number): void {
  if (!members.delete(id)) members.add(id);
}

function tellPage(name: string, detail: unknown): void {
  window.dispatchEvent(new CustomEvent(name, { detail }));
}
