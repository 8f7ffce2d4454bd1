// What the keyboard does: everything that the pointer can.
import { findNode } from '../dom.ts';
import type { Mode, Studio } from './studio.ts';

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** In a video, arrows move in time. */
const LETTERS: Record<string, [number, number]> = { a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1] };
const MODES: Record<string, Mode> = { 1: 'select', 2: 'add', 3: 'remove', 4: 'box' };
/** A step of the cross: this part of the image's long side. */
const STEP = 1 / 40;
const EDITABLE = 'textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), [contenteditable]';

export function connectKeys(studio: Studio): void {
  studio.frame.addEventListener('keydown', (event) => {
    const film = Boolean(studio.state.value.film);
    if (film && studio.film.takeKey(event)) return;
    const way = film ? LETTERS[event.key.toLowerCase()] : ARROWS[event.key];
    if (way) moveCross(studio, way, event.shiftKey);
    else if (!takeKey(studio, event)) return;
    event.preventDefault();
  });
  document.addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || (event.target as Element).closest(EDITABLE)) return;
    event.preventDefault();
    findNode<HTMLButtonElement>(studio.stage, event.shiftKey ? '[data-do=redo]' : '[data-do=undo]').click();
  });
}

function takeKey(studio: Studio, event: KeyboardEvent): boolean {
  const { state } = studio, mode = MODES[event.key];
  if (mode) studio.setMode(mode);
  else if (event.key === 'Enter' || event.key === ' ') {
    if (state.cross) studio.handleClick(state.cross, { minus: event.altKey, extend: event.shiftKey });
  } else if (event.key === 'Delete' || event.key === 'Backspace') studio.dropActive();
  else if (event.key === 'Escape') {
    state.corner = null;
    studio.chooseMask(null);
  } else if (event.key.toLowerCase() === 'n' && studio.mode === 'add') studio.beginObject();
  else return false;
  return true;
}

function moveCross(studio: Studio, [right, down]: [number, number], fine: boolean): void {
  const { state, viewport } = studio, { width, height } = viewport;
  const far = fine ? 1 : Math.max(1, Math.round(Math.max(width, height) * STEP));
  const [x, y] = state.cross ?? [width / 2, height / 2];
  state.cross = viewport.limitPixel([x + right * far, y + down * far]);
  studio.draw();
  if (state.corner) studio.marks.drawBand(state.corner, state.cross);
  studio.showTip(state.cross);
}
