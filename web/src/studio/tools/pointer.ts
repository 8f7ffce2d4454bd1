// What the mouse or a finger does on the image.
import { Gestures } from '../../canvas/gestures.ts';
import type { Point } from '../../canvas/types.ts';
import type { Studio } from '../studio.ts';

/** Pixels of the screen: a shorter way is a click. Milliseconds: a longer press of a finger takes away. */
const SHORTEST_DRAG = 6, LONG_PRESS = 500;

export function connectPointer(studio: Studio): Gestures {
  const pointer = new Pointer(studio);
  const { frame } = studio;
  studio.onCancel = () => pointer.cancel();
  frame.addEventListener('pointerdown', (event) => pointer.press(event));
  frame.addEventListener('pointermove', (event) => pointer.move(event));
  frame.addEventListener('pointerup', (event) => pointer.lift(event));
  frame.addEventListener('pointercancel', () => { pointer.forget(); studio.drawing.cancel(); });
  frame.addEventListener('dblclick', (event) => { if (studio.mode === 'polygon') studio.drawing.closePolygon(event.altKey); });
  frame.addEventListener('pointerleave', () => pointer.leave());
  frame.addEventListener('dragstart', (event) => event.preventDefault()); // the browser's own, which would end ours
  frame.addEventListener('contextmenu', (event) => { if (studio.takesAway) event.preventDefault(); });
  return pointer.gestures;
}

class Pointer {
  readonly gestures: Gestures;
  /** Where the pointer went down. */
  private pressed: Point | null = null;
  private timer = 0;

  constructor(private readonly studio: Studio) {
    const isPanning = () => studio.mode === 'hand' || studio.stage.dataset.grab === 'yes';
    this.gestures = new Gestures(studio.zoom, isPanning, () => { this.forget(); if (studio.drawing.isBrush) studio.drawing.cancel(); });
  }

  press(event: PointerEvent): void {
    const { studio } = this;
    if (this.gestures.isBusy || !(event.button === 0 || this.isMinus(event))) return;
    if (studio.question.isOpen) return studio.question.answer('');
    const at = this.pressed = studio.viewport.toPixel(event);
    studio.frame.setPointerCapture(event.pointerId);
    studio.preview.follow(null);
    if (studio.drawing.isBrush && event.button === 0 && !studio.state.value.busy) {
      this.pressed = null;
      const place = studio.viewport.toPlace(event);
      if (!studio.drawing.refuseLocked(place, studio.mode === 'eraser')) studio.drawing.beginStroke(place);
    }
    if (event.pointerType !== 'touch' || !studio.takesAway) return;
    this.timer = window.setTimeout(() => {
      this.forget();
      navigator.vibrate?.(20);
      studio.clicks.handle(at, { minus: true });
    }, LONG_PRESS);
  }

  move(event: PointerEvent): void {
    const { studio } = this, { state, mode, viewport } = studio;
    if (this.gestures.isBusy) return;
    const { drawing } = studio, place = viewport.toPlace(event);
    drawing.moveCursor(place);
    if (drawing.isBrush && drawing.isDrawing) return drawing.continueStroke(place);
    drawing.followPolygon(place);
    const at = viewport.toPixel(event), from = state.corner ?? this.pressed, far = this.isFar(at);
    if (far) clearTimeout(this.timer);
    if (from && (mode === 'box' || (mode === 'smart' && far))) studio.marks.drawBand(from, at);
    studio.showTip(at);
    if (event.pointerType === 'mouse' && !this.pressed) studio.preview.follow(studio.outlines.findIdAt(at) === null ? at : null);
  }

  lift(event: PointerEvent): void {
    if (this.studio.drawing.isBrush) this.studio.drawing.endStroke();
    const { studio } = this, { state, mode } = studio, from = this.pressed;
    if (!from || this.gestures.isBusy || studio.drawing.isBrush) return this.forget();
    const to = studio.viewport.toPixel(event), far = this.isFar(to);
    this.forget();
    state.cross = null;
    if (far && !state.corner && !state.value.busy) {
      if (mode === 'box') return studio.clicks.sendBox(from, to);
      if (mode === 'smart' && event.button === 0) return studio.clicks.askBox(from, to);
    }
    studio.clicks.handle(to, { minus: this.isMinus(event), extend: event.shiftKey });
  }

  /** Give up what is being dragged; say whether there was something. */
  cancel(): boolean {
    const wasPressed = this.pressed !== null;
    this.forget();
    return wasPressed;
  }

  forget(): void {
    clearTimeout(this.timer);
    this.pressed = null;
  }

  leave(): void {
    this.studio.hideTip();
    this.studio.preview.follow(null);
    this.studio.drawing.moveCursor(null);
  }

  private isMinus(event: PointerEvent): boolean {
    return (this.studio.takesAway && event.button === 2) || (event.altKey && (this.studio.takesAway || this.studio.mode === 'polygon'));
  }

  private isFar(to: Point): boolean {
    const from = this.pressed;
    return from !== null && Math.hypot(to[0] - from[0], to[1] - from[1]) > SHORTEST_DRAG * this.studio.viewport.scale;
  }
}
