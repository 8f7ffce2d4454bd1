// What Python says of the film strip.

export interface Entry {
  id: number;
  name: string;
  state: 'new' | 'work' | 'done';
  masks: number;
  note: string;
  video: boolean;
  asked: boolean;
  thumbnail: string;
}

export interface ClassInfo {
  name: string;
  color: string;
  ink: string;
}

export interface Run {
  query: string;
  total: number;
  answered: number;
  failed: number;
  ended: boolean;
  stopped: boolean;
}

export interface Measure {
  masks: number;
  points: number;
  all_points: number;
  iou: number;
  lowest: number;
}

/** What changed; what is not there stays as it was. */
export interface AlbumReply {
  error?: string;
  token: string;
  order?: number[];
  entries: (Partial<Entry> & { id: number })[];
  classes?: ClassInfo[];
  current?: number | null;
  run?: Run | null;
  by_class?: boolean;
  tolerance?: number;
  notes?: string[];
  moved?: boolean;
  redraw?: boolean;
  measure?: Measure;
}
