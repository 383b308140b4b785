// What Python hands over: panels as they stand in the dashboard's file, and what Prometheus answered to their queries.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

/** Prometheus' own form: [seconds, value as text]. */
export type Sample = [number, string];

export interface Series {
  metric: Record<string, string>;
  values: Sample[];
}

export interface Answer {
  refId: string;
  legendFormat: string;
  isTable: boolean;
  series: Series[];
}

export interface Panel {
  id: number;
  type: 'row' | 'stat' | 'timeseries' | 'table';
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  options?: Record<string, any>;
  fieldConfig?: FieldConfigSource<any>;
  transformations?: DataTransformerConfig[];
  answers?: Answer[];
}

export interface Picture {
  title: string;
  /** Label and value of each variable that is shown at the top. */
  variables: Array<[string, string]>;
  /** Seconds since 1970. */
  from: number;
  to: number;
  width: number;
  panels: Panel[];
}
