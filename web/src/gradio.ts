// What Gradio hands to the script of an HTML component: free names in its `js_on_load`.

/** The values of a component; assigning one shows it. */
export type Props = Record<string, unknown>;

/** The Python functions that a component was given as `server_functions`. */
export type ServerFunctions = Record<string, (data: unknown) => Promise<unknown>>;

export interface Host {
  element: HTMLElement;
  props: Props;
  server: ServerFunctions;
  /** Tells Python of an event. Its name must stand in the script, or Python does not know it. */
  trigger(name: string, data?: unknown): void;
  watch(names: string | string[], act: () => void): void;
  /** Pixels of the long side of the image that `draw_image` sends; the demo's where none are given. */
  imageSide?: number;
}

/** The server took no call: the network or the server is gone, or it answered with a failure. */
export class NoAnswerError extends Error {}

/** The functions of the server, each failing where no answer came: Gradio's own hand back nothing then. */
export function guardServer(functions: ServerFunctions): ServerFunctions {
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, async (data: unknown) => {
    const answer = await call(data);
    if (answer === undefined) throw new NoAnswerError(`the server did not answer ${name}`);
    return answer;
  }]));
}

declare global {
  const element: HTMLElement;
  const props: Props;
  const server: ServerFunctions;
  function trigger(name: string, data?: unknown): void;
  function watch(names: string | string[], act: () => void): void;
}
