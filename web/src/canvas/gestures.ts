// Zooms and pans: the wheel, two fingers, the middle button, and the primary one while `isPanning` says so.
import type { Point } from './types.ts';
import type { Zoom } from './zoom.ts';

/** A notch of the wheel is about 100 of these pixels. */
const WHEEL_SPEED = 0.0016, LINE = 16;

export class Gestures {
  private readonly fingers = new Map<number, Point>();
  /** Place in the image, in its pixels, that was between two fingers when they came down. */
  private pinchedPlace: Point = [0, 0];
  private hand: { id: number; at: Point } | null = null;
  /** Whether two fingers are on the image, or were until the last of them is lifted. */
  isPinching = false;
  /** Whether the image was moved since the pointer went down. */
  hasPanned = false;

  constructor(private readonly zoom: Zoom, private readonly isPanning: () => boolean, private readonly begin: () => void) {
    const { well } = zoom;
    well.addEventListener('wheel', (event) => this.turnWheel(event), { passive: false });
    // before the tools see it
    well.addEventListener('pointerdown', (event) => this.press(event), { capture: true });
    well.addEventListener('pointermove', (event) => this.move(event), { capture: true });
    for (const kind of ['pointerup', 'pointercancel'] as const) window.addEventListener(kind, (event) => this.lift(event));
    well.addEventListener('auxclick', (event) => { if (event.button === 1) event.preventDefault(); });
  }

  /** Whether the pointer moves the image now, so that it does nothing else. */
  get isBusy(): boolean {
    return this.isPinching || this.hand !== null;
  }

  private turnWheel(event: WheelEvent): void {
    if (event.deltaY > 0 && this.zoom.isFit) return; // the page may scroll
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? LINE : 1) * (event.ctrlKey ? 6 : 1); // with Control: a pinch on a trackpad
    this.zoom.zoomBy(Math.exp(-pixels * WHEEL_SPEED), [event.clientX, event.clientY]);
  }

  private press(event: PointerEvent): void {
    const at: Point = [event.clientX, event.clientY];
    this.hasPanned = false;
    if (event.pointerType === 'touch') this.fingers.set(event.pointerId, at);
    if (this.fingers.size >= 2) {
      // a third finger holds the image where it is
      this.isPinching = true;
      this.holdPlace();
      this.hand = null;
      this.begin();
    } else if (event.button === 1 || (event.button === 0 && this.isPanning())) {
      event.preventDefault();
      this.hand = { id: event.pointerId, at };
      this.begin();
    }
  }

  private holdPlace(): void {
    const [one, other, third] = [...this.fingers.values()];
    if (one && other && !third) this.pinchedPlace = this.zoom.findPlace(findMiddle(one, other));
  }

  private move(event: PointerEvent): void {
    const at: Point = [event.clientX, event.clientY], finger = this.fingers.get(event.pointerId);
    if (this.hand?.id === event.pointerId) {
      this.zoom.panBy(at[0] - this.hand.at[0], at[1] - this.hand.at[1]);
      this.hand.at = at;
      this.hasPanned = true;
    } else if (finger && this.fingers.size === 2) {
      const other = [...this.fingers].find(([id]) => id !== event.pointerId)![1];
      const middle = findMiddle(at, other);
      this.zoom.zoomBy(measureDistance(at, other) / Math.max(1, measureDistance(finger, other)), middle);
      // not by the way of each finger: what is lost while the image fits, and cannot be moved, would stay lost
      this.zoom.bringPlace(this.pinchedPlace, middle);
    }
    if (finger) this.fingers.set(event.pointerId, at);
  }

  private lift(event: PointerEvent): void {
    // two of three fingers go on from where they are now
    if (this.fingers.delete(event.pointerId)) this.holdPlace();
    // the tools heard of it before: this listens at the window
    if (this.hand?.id === event.pointerId) this.hand = null;
    if (!this.fingers.size) this.isPinching = false;
  }
}

function findMiddle([x0, y0]: Point, [x1, y1]: Point): Point {
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}

function measureDistance([x0, y0]: Point, [x1, y1]: Point): number {
  return Math.hypot(x1 - x0, y1 - y0);
}
