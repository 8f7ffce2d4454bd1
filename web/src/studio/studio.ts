// The studio: an image with its masks, what a click does to them, and what is sent for it.
import { MarkLayer } from '../canvas/marks.ts';
import { OutlineLayer } from '../canvas/outlines.ts';
import { TileLayer } from '../canvas/tiles.ts';
import type { Tile } from '../canvas/tiles.ts';
import { Viewport } from '../canvas/viewport.ts';
import { Zoom } from '../canvas/zoom.ts';
import { getActiveClass } from '../active_class.ts';
import { findNode, setText } from '../dom.ts';
import type { Host } from '../gradio.ts';
import { recallSession } from '../tab_store.ts';
import { ClickTool } from './tools/clicks.ts';
import { CLICKING } from './modes.ts';
import type { Mode } from './modes.ts';
import { Panels } from './panels.ts';
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

/** Edits that may make a mask, which gets the active class. */
const MAKING = new Set<Edit['kind']>(['point', 'box', 'stroke', 'polygon']);
/** Screen pixels of an image pixel from which on the pixels are shown as squares. */
const MAGNIFIED = 4;
const EMPTY_DATA = { points: [], active: null, threshold: 0 };
/** Pixels of the long side of the image that the demo sends, as in demo/studio/rows.py. */
const IMAGE_SIDE = 1600;

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
  readonly clicks: ClickTool;
  readonly panels: Panels;
  private readonly photo: HTMLImageElement;
  private readonly threshold: HTMLInputElement;
  private readonly edits: EditQueue | LocalEdits;
  private readonly watcher: ServerWatcher | null;
  /** Gives up what the pointer drags; says whether there was something. */
  onCancel: () => boolean = () => false;
  /** The image of a studio without a conversation. */
  private fetched: Subject | null = null;
  private tool = '';
  /** The image of the value that was shown last. */
  private loading: Promise<void> = Promise.resolve();

  constructor(readonly host: Host) {
    const { element, server } = host;
    this.stage = findNode(element, '.stage');
    this.frame = findNode(element, '.frame');
    this.photo = findNode(element, '.photo');
    this.threshold = findNode(element, '.threshold input');
    this.viewport = new Viewport(this.frame);
    this.zoom = new Zoom(this.viewport, findNode(element, '.well'), () => this.drawZoom());
    this.tiles = new TileLayer(this.viewport, this.zoom, findNode(element, '.tiles'), host.imageSide ?? IMAGE_SIDE, (tile) => this.loadTile(tile));
    this.outlines = new OutlineLayer(this.viewport, findNode(element, 'svg.masks'), findNode(element, 'svg.pins .plates'));
    this.marks = new MarkLayer(this.viewport, findNode(element, 'svg.pins .points'), findNode(element, 'svg.marks .bands'));
    this.film = new FilmPlayer(element, this.state, () => this.draw());
    this.question = new BoxQuestion(this);
    this.preview = new Preview(this);
    this.drawing = new DrawingTools(this);
    this.clicks = new ClickTool(this);
    this.panels = new Panels(this);
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
    this.viewport.setImageSize(value.width, value.height);
    if (has && subject && this.photo.dataset.key !== value.key) this.showSubject(subject);
    this.stage.dataset.medium = has && value.film ? 'video' : 'image';
    for (const layer of this.frame.querySelectorAll(':scope > svg:not(.pins)'))
      layer.setAttribute('viewBox', `0 0 ${Math.max(1, value.width)} ${Math.max(1, value.height)}`);
    this.showThreshold();
    this.describe(has);
    this.draw();
    if (this.isLocal) this.loading = this.updateLocal(value);
  }

  // a studio without a conversation

  /** Fetch the image where another one is to be shown, and take the tool that Python chose. */
  private async updateLocal(value: StudioValue): Promise<void> {
    if (value.tool && value.tool !== this.tool) this.setMode((this.tool = value.tool) as Mode);
    if (!value.key || this.fetched?.key === value.key) return;
    this.fetched = { key: value.key };
    if (this.edits instanceof LocalEdits) this.edits.forget();
    this.state.chooseMask(value.active);
    const url = await this.host.server.draw_image!({ key: value.key }) as string;
    if (this.fetched.key !== value.key) return;
    this.fetched = { key: value.key, url };
    this.photo.dataset.key = '';
    this.update();
  }

  /** Show a value that comes from elsewhere; resolves once its image is painted, or did not come. */
  async showWork(value: StudioValue): Promise<void> {
    this.host.props.value = value;
    this.update();
    await this.loading;
    await this.photo.decode().catch(() => {});
  }

  /** Whether something was done that can be taken back, or is being done. */
  get hasWork(): boolean {
    return this.state.value.canUndo || !this.edits.isEmpty;
  }

  /** Wait until all edits are made. */
  async settleEdits(): Promise<void> {
    if (this.edits instanceof LocalEdits) await this.edits.settle();
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
    this.cancelGesture();
    this.question.close();
    if (subject.url) this.photo.src = subject.url;
    else this.photo.removeAttribute('src');
    this.film.show(subject);
    this.tiles.clear();
    this.zoom.begin();
    this.state.cross = null;
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
    setText(findNode(this.stage, '.percent'), `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`);
    findNode<HTMLButtonElement>(this.stage, '[data-do=fit]').disabled = this.zoom.isFit;
    this.zoom.well.dataset.magnified = this.zoom.scale >= MAGNIFIED ? 'yes' : 'no';
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
    this.panels.draw();
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

  /** Whether the right button, Alt or a long press takes away. */
  get takesAway(): boolean {
    return CLICKING.includes(this.mode);
  }

  /** Whether a click would find or correct an object now. */
  get canPreview(): boolean {
    return CLICKING.includes(this.mode) && !this.state.value.busy && !this.state.value.film && this.edits.isEmpty;
  }

  showTip(at: Point): void {
    const tip = findNode(this.stage, '.tip'), over = this.state.findMask(this.outlines.findIdAt(at));
    setText(tip, over ? [over.id, over.phrase, ...(over.score < 1 ? [over.score.toFixed(2)] : [])].join(' · ') : ''); // by hand it has no score
    this.viewport.placeNode(tip, at);
    this.highlight(over?.id ?? null);
  }

  hideTip(): void {
    setText(findNode(this.stage, '.tip'), '');
    this.highlight(null);
  }

  private highlight(id: number | null): void {
    this.outlines.highlight(id);
    tellPage('sam3-lit', id);
  }

  // what the visitor does

  /** Whether something is begun that the next click or key goes on with. */
  get isDrawing(): boolean {
    return this.drawing.isDrawing || this.state.corner !== null || this.state.merging || this.question.isOpen;
  }

  /** Give up what is begun and not done: a stroke, corners, a drag, a merge. Say whether there was something. */
  cancelGesture(): boolean {
    const { state } = this, wasPressed = this.onCancel();
    const wasBegun = wasPressed || this.drawing.isDrawing || state.corner !== null || state.merging;
    this.drawing.cancel();
    state.corner = null;
    state.merging = false;
    return wasBegun;
  }

  setMode(mode: Mode): void {
    findNode<HTMLInputElement>(this.stage, `input[name=mode][value=${mode}]`).checked = true;
    this.cancelGesture();
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

  /** The session is known: what an earlier loading of the page could not send goes first. */
  resumeEdits(): void {
    this.edits.resume();
  }

  // what the queue of edits says

  getContext() {
    return { session: recallSession(), sam3: String(this.host.props.sam3 ?? ''), key: this.state.value.key, revision: this.state.value.revision };
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

function toggleMember(members: Set<number>, id: number): void {
  if (!members.delete(id)) members.add(id);
}

function tellPage(name: string, detail: unknown): void {
  window.dispatchEvent(new CustomEvent(name, { detail }));
}
