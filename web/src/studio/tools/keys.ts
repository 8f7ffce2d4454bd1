// What the keyboard does: everything that the pointer can.
import { findNode } from '../../dom.ts';
import type { Gestures } from '../../canvas/gestures.ts';
import { EDITING, type Mode } from '../modes.ts';
import type { Studio } from '../studio.ts';

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** In a video, arrows move in time. */
const LETTERS: Record<string, [number, number]> = { a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1] };
export const MODES: Record<string, Mode> = { s: 'smart', v: 'select', a: 'add', x: 'remove', b: 'box', p: 'brush', e: 'eraser', g: 'polygon', h: 'hand' };
/** A step of the cross: this part of the image's long side. */
const STEP = 1 / 40;
/** Pixels of the screen that an arrow moves the image with the hand. */
const PAN = 60;
/** A key makes the brush so many times larger. */
const BRUSH_STEP = 1.25;
export const EDITABLE = 'textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), [contenteditable]';

export function connectKeys(studio: Studio): void {
  studio.frame.addEventListener('keydown', (event) => {
    const film = Boolean(studio.state.value.film);
    if (event.ctrlKey || event.metaKey) return;
    if (film && studio.film.takeKey(event)) return;
    const way = film ? LETTERS[event.key.toLowerCase()] : ARROWS[event.key];
    if (way && studio.mode === 'hand') studio.zoom.panBy(-way[0] * PAN, -way[1] * PAN);
    else if (way) moveCross(studio, way, event.shiftKey);
    else if (takeZoomKey(studio, event)) studio.preview.follow(null);
    else if (!takeKey(studio, event)) return;
    event.preventDefault();
  });
  document.addEventListener('keydown', (event) => {
    if (!studio.stage.isConnected) return;
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || (event.target as Element).closest(EDITABLE)) return;
    event.preventDefault();
    findNode<HTMLButtonElement>(studio.stage, event.shiftKey ? '[data-do=redo]' : '[data-do=undo]').click();
  });
}

function takeZoomKey({ zoom, isLocal }: Studio, event: KeyboardEvent): boolean {
  const digit = { Digit0: '0', Digit1: '1' }[event.code], own = event.shiftKey || isLocal; // classes have the digits
  if (digit && own) {
    if (digit === '0') zoom.fit();
    else zoom.showActualSize();
  } else if (event.key === '+' || event.key === '=') zoom.step(1);
  else if (event.key === '-' || event.key === '_') zoom.step(-1);
  else return false;
  return true;
}

function takeKey(studio: Studio, event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase(), mode = MODES[key];
  if (mode && !event.altKey) studio.setMode(mode);
  else if (key === ' ') studio.stage.dataset.grab = 'yes';
  else if (key === ',' || key === '.') studio.drawing.resize(key === ',' ? 1 / BRUSH_STEP : BRUSH_STEP);
  else if (studio.mode === 'polygon' && studio.drawing.isDrawing && takePolygonKey(studio, event)) return true;
  else if (key === 'enter') clickCross(studio, event);
  else if (key === 'delete' || key === 'backspace') studio.dropActive();
  else if (key === 'escape') {
    if (studio.cancelGesture()) studio.draw();
    else studio.chooseMask(null);
  } else if (key === 'n' && EDITING.includes(studio.mode)) studio.beginObject();
  else return false;
  return true;
}

/** Enter closes a polygon, or adds the corner that the cross has moved on to; Backspace takes the last one back. */
function takePolygonKey({ drawing, state }: Studio, event: KeyboardEvent): boolean {
  if (event.key === 'Enter' && (!state.cross || drawing.isLastCorner(state.cross))) drawing.closePolygon(event.altKey);
  else if (event.key === 'Backspace') drawing.dropCorner();
  else return false;
  return true;
}

function clickCross(studio: Studio, event: KeyboardEvent): void {
  const { cross } = studio.state;
  if (cross) studio.clicks.handle(cross, { minus: event.altKey, extend: event.shiftKey });
}

/** The space bar moves the image while it is held; pressed alone it clicks at the cross. */
export function connectSpace(studio: Studio, gestures: Gestures): void {
  studio.frame.addEventListener('keyup', (event) => {
    if (event.key !== ' ' || studio.stage.dataset.grab !== 'yes') return;
    studio.stage.dataset.grab = 'no';
    if (!gestures.hasPanned) clickCross(studio, event);
    gestures.hasPanned = false;
  });
  studio.frame.addEventListener('blur', () => { studio.stage.dataset.grab = 'no'; });
}

function moveCross(studio: Studio, [right, down]: [number, number], fine: boolean): void {
  const { state, viewport, zoom } = studio, { width, height } = viewport;
  const far = fine ? 1 : Math.max(1, Math.round(Math.min(Math.max(width, height), zoom.well.clientWidth * viewport.scale) * STEP));
  const [x, y] = state.cross ?? [width / 2, height / 2];
  state.cross = viewport.limitPixel([x + right * far, y + down * far]);
  zoom.reveal(state.cross);
  studio.draw();
  if (state.corner) studio.marks.drawBand(state.corner, state.cross);
  studio.showTip(state.cross);
}
