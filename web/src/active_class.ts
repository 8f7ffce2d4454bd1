// The class that new masks get: the film strip sets it, the studio reads it. Each is a script of its own.

interface ClassHolder extends Window {
  sam3Class?: string;
}

export const getActiveClass = (): string => (window as ClassHolder).sam3Class ?? '';
export const setActiveClass = (name: string): void => { (window as ClassHolder).sam3Class = name; };
