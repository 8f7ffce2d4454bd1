// What the canvas draws: masks as outlines, points and boxes, all in pixels of the image.

/** x y. */
export type Point = [number, number];

/** x0 y0 x1 y1. */
export type Box = [number, number, number, number];

/** x, y, and whether it belongs to the object. */
export type SignedPoint = [number, number, boolean];

export interface Outline {
  id: number;
  /** The path of an SVG. */
  path: string;
  /** A point well inside the mask, where its number stands. */
  at: Point;
  /** Of CSS: the mask's colour, and that of letters on it. */
  color: string;
  ink: string;
  /** The class, where the application gives one; style sheets may draw by it. */
  label?: string;
}
