// What the mouse or a finger does on the image.
import type { Point } from '../canvas/types.ts';
import type { Studio } from './studio.ts';

/** Pixels of the screen: a shorter way is a click. */
const SHORTEST_DRAG = 6;

export function connectPointer(studio: Studio): void {
  const { frame, viewport, state, marks } = studio;
  /** Where the pointer went down. */
  let pressed: Point | null = null;
  const isMinus = (event: MouseEvent) => studio.mode === 'add' && (event.button === 2 || event.altKey);
  frame.addEventListener('pointerdown', (event) => {
    if (event.button === 0 || isMinus(event)) pressed = viewport.toPixel(event);
  });
  frame.addEventListener('contextmenu', (event) => { if (studio.mode === 'add') event.preventDefault(); });
  frame.addEventListener('pointerup', (event) => {
    if (!pressed) return;
    const from = pressed, to = viewport.toPixel(event);
    pressed = null;
    state.cross = null;
    const far = Math.hypot(to[0] - from[0], to[1] - from[1]) > SHORTEST_DRAG * viewport.scale;
    if (studio.mode === 'box' && far && !state.corner && !state.value.busy) return studio.sendBox(from, to);
    studio.handleClick(to, { minus: isMinus(event), extend: event.shiftKey });
  });
  frame.addEventListener('pointermove', (event) => {
    const at = viewport.toPixel(event), from = state.corner ?? pressed;
    if (studio.mode === 'box' && from) marks.drawBand(from, at);
    studio.showTip(at);
  });
  frame.addEventListener('pointerleave', () => studio.hideTip());
}
