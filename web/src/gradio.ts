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
}

declare global {
  const element: HTMLElement;
  const props: Props;
  const server: ServerFunctions;
  function trigger(name: string, data?: unknown): void;
  function watch(names: string | string[], act: () => void): void;
}
